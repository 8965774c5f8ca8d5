/**
 * Tokens by which MSK knows an IAM role: a signed request that never leaves as one, valid 15 minutes.
 * The signer (half a megabyte, with the SDK's ways to find credentials) is loaded by the first token.
 */
import { type TokenSource, Tokens } from "./tokens.ts";

const REMEDY =
  "give this process AWS credentials (a function has those of its role; elsewhere AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), and renew them where they have ended";

const byRegion = new Map<string, Tokens>();

/** Shared by the clients of this process. */
export function iamTokens(region: string): Tokens {
  let tokens = byRegion.get(region);
  if (tokens === undefined) {
    tokens = new Tokens(signer(region), REMEDY);
    byRegion.set(region, tokens);
  }
  return tokens;
}

function signer(region: string): TokenSource {
  return async () => {
    const { generateAuthToken } = await import("aws-msk-iam-sasl-signer-js");
    const { token, expiryTime } = await generateAuthToken({ region });
    return { value: token, expiresAt: expiryTime };
  };
}
