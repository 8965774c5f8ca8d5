/**
 * Signing in on a connection (SASL): with a user and password (SCRAM-SHA-512) or with bearer tokens
 * (OAUTHBEARER), which is also how IAM works.
 */
import {
  AuthenticationError,
  type Connection,
  type saslAuthenticateV2,
  saslScramSha,
} from "@platformatic/kafka";
import type { SettledAuth } from "./config.ts";
import { isRefusedSignIn } from "./errors.ts";
import { iamTokens } from "./iam-tokens.ts";
import { type Token, type TokenSource, Tokens } from "./tokens.ts";

export interface SignIn {
  readonly mechanism: "SCRAM-SHA-512" | "OAUTHBEARER";
  /** What to do where a broker refuses. */
  readonly remedy: string;
  /** Fetches what may take a while, so that no connection waits for it. Throws `Trouble`. */
  prepare(): Promise<void>;
  /** Throws the library's errors where the broker refuses or the connection breaks. */
  perform(
    connection: Connection,
    authenticate: saslAuthenticateV2.SASLAuthenticationAPI,
  ): Promise<saslAuthenticateV2.SaslAuthenticateResponse>;
}

export function signInWith(auth: SettledAuth): SignIn {
  if (auth.kind === "scram") return withPassword(auth.username, auth.password);
  return auth.kind === "iam"
    ? withTokens(iamTokens(auth.region), IAM_REMEDY)
    : withTokens(tokensOf(auth.source), TOKEN_REMEDY);
}

const IAM_REMEDY =
  "the role needs kafka-cluster:Connect on the cluster, its region must be the cluster's, and the clock must be right";
const TOKEN_REMEDY = "check who issues the token, for whom, and that the clock is right";

function withPassword(username: string, password: string): SignIn {
  return {
    mechanism: "SCRAM-SHA-512",
    remedy: `check user "${username}" and its password (for MSK: the secret that is associated with the cluster)`,
    prepare: async () => undefined,
    perform: (connection, authenticate) =>
      saslScramSha.authenticate(authenticate, connection, "SHA-512", username, password),
  };
}

const bySource = new WeakMap<TokenSource, Tokens>();

function tokensOf(source: TokenSource): Tokens {
  const tokens = bySource.get(source) ?? new Tokens(source, "check the source of the tokens");
  bySource.set(source, tokens);
  return tokens;
}

/** Ends an exchange in which the broker has sent its reasons for refusing (RFC 7628, section 3.2.3). */
const ACKNOWLEDGEMENT = Buffer.from([1]);

function withTokens(tokens: Tokens, remedy: string): SignIn {
  return {
    mechanism: "OAUTHBEARER",
    remedy,
    prepare: async () => void (await tokens.current()),
    async perform(connection, authenticate) {
      const token = await tokens.current();
      try {
        const answer = await authenticate.async(connection, message(token));
        if (answer.authBytes.length === 0) return answer;
        // An answer with a text is a refusal, though its error code is 0.
        await authenticate.async(connection, ACKNOWLEDGEMENT);
        throw new AuthenticationError(`the broker answered ${answer.authBytes}`);
      } catch (error) {
        if (isRefusedSignIn(error)) tokens.discard(token);
        throw error;
      }
    },
  };
}

const message = (token: Token): Buffer => Buffer.from(`n,,\x01auth=Bearer ${token.value}\x01\x01`);
