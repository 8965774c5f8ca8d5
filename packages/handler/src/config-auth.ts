/**
 * Whose tokens are believed: issuer, audience and keys, from the environment.
 *
 * Keys come inline (`AUTH_JWKS`) or from the issuer (`AUTH_JWKS_URL`, https unless it is this
 * machine). A deployed function refuses the development issuer, whose key lies in a folder of
 * somebody's laptop.
 */
import { bug } from "@headrace/kernel";
import * as z from "zod";
import type { Environment } from "./config.ts";

/** The issuer of the local runtime's tokens. */
export const DEVELOPMENT_ISSUER = "urn:headrace:development";

export interface PublicKey {
  readonly kty: "RSA" | "EC" | "OKP";
  readonly [member: string]: unknown;
}

export interface AuthConfig {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: { readonly keys: readonly PublicKey[] } | { readonly url: URL };
}

const PublicKeySchema = z
  .looseObject({
    kty: z.enum(["RSA", "EC", "OKP"], "must be RSA, EC or OKP: shared secrets are not accepted"),
  })
  .refine((key) => !("d" in key), "holds a private key: publish the public part only");

const KeySet = z
  .string()
  .transform(parsedJson)
  .pipe(z.looseObject({ keys: z.array(PublicKeySchema).min(1, "holds no key") }));

const KeysUrl = z
  .string()
  .transform((text) => URL.parse(text))
  .refine(isSafeUrl, "must be an https:// address (http:// on this machine only)");

const Variables = z.object({
  AUTH_ISSUER: z.string().optional(),
  AUTH_AUDIENCE: z.string().optional(),
  AUTH_JWKS: KeySet.optional(),
  AUTH_JWKS_URL: KeysUrl.optional(),
});

/** Undefined when no variable of these is set; throws `config.invalid` when they are wrong. */
export function readAuthConfig(env: Environment, deployed: boolean): AuthConfig | undefined {
  const parsed = Variables.safeParse(env);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      ({ path: [name, ...rest], message }) =>
        `${String(name)}${rest.length === 0 ? "" : ` (${rest.join(".")})`} ${message}`,
    );
    throw refused(faults.join("; "));
  }
  const { AUTH_ISSUER, AUTH_AUDIENCE, AUTH_JWKS, AUTH_JWKS_URL } = parsed.data;
  if ([AUTH_ISSUER, AUTH_AUDIENCE, AUTH_JWKS, AUTH_JWKS_URL].every((each) => each === undefined)) {
    return undefined;
  }
  if (AUTH_ISSUER === undefined) throw refused("AUTH_ISSUER is not set: name the tokens' issuer");
  if (AUTH_AUDIENCE === undefined)
    throw refused("AUTH_AUDIENCE is not set: name the audience that tokens must be made for");
  if (deployed && AUTH_ISSUER === DEVELOPMENT_ISSUER) {
    throw refused(
      "AUTH_ISSUER names the development issuer, which a deployed function does not believe: name a real issuer",
    );
  }
  if ((AUTH_JWKS === undefined) === (AUTH_JWKS_URL === undefined)) {
    throw refused("AUTH_JWKS or AUTH_JWKS_URL must be set, and not both: the issuer's public keys");
  }
  return {
    issuer: AUTH_ISSUER,
    audience: AUTH_AUDIENCE,
    keys: AUTH_JWKS ?? { url: AUTH_JWKS_URL as URL },
  };
}

const refused = (message: string) => bug("config.invalid", message);

function parsedJson(text: string, context: z.core.$RefinementCtx): unknown {
  try {
    return JSON.parse(text);
  } catch {
    context.issues.push({ code: "custom", message: "is not JSON", input: undefined });
    return z.NEVER;
  }
}

function isSafeUrl(url: URL | null): boolean {
  if (url === null) return false;
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url.protocol === "https:" || (local && url.protocol === "http:");
}
