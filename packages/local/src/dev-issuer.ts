/**
 * The issuer of tokens on one machine: an Ed25519 key that is random for each home folder, and the
 * environment that makes the handlers believe it. A deployed function refuses this issuer.
 */
import { DEVELOPMENT_ISSUER, type Scope, systemClock } from "@headrace/handler";
import type { Clock } from "@headrace/kernel";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT } from "jose";

/** A private key as JWK: a secret, kept with the home folder's other ones. */
export interface SigningKey {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly d: string;
  readonly kid: string;
}

export interface TokenClaims {
  readonly scopes: readonly Scope[];
  /** `local` unless said. */
  readonly subject?: string;
  /** 12 hours unless said. */
  readonly expiresInSeconds?: number;
}

export interface DevelopmentIssuer {
  /** What the functions' environment must say. */
  readonly environment: {
    readonly AUTH_ISSUER: string;
    readonly AUTH_AUDIENCE: string;
    readonly AUTH_JWKS: string;
  };
  issue(claims: TokenClaims): Promise<string>;
}

const AUDIENCE = "headrace";
const ALGORITHM = "EdDSA";
const STANDARD_EXPIRY_SECONDS = 12 * 3600;

export async function generateSigningKey(): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: "Ed25519", extractable: true });
  const { x = "", d = "" } = await exportJWK(privateKey);
  const publicPart = { kty: "OKP", crv: "Ed25519", x } as const;
  return { ...publicPart, d, kid: await calculateJwkThumbprint(publicPart) };
}

export function developmentIssuer(key: SigningKey, clock: Clock = systemClock): DevelopmentIssuer {
  const { kty, crv, x, kid } = key;
  const publicKey = { kty, crv, x, kid, alg: ALGORITHM, use: "sig" };
  return {
    environment: {
      AUTH_ISSUER: DEVELOPMENT_ISSUER,
      AUTH_AUDIENCE: AUDIENCE,
      AUTH_JWKS: JSON.stringify({ keys: [publicKey] }),
    },
    async issue({ scopes, subject = "local", expiresInSeconds = STANDARD_EXPIRY_SECONDS }) {
      const nowSeconds = Math.floor(clock.now() / 1000);
      return new SignJWT({ scope: scopes.join(" ") })
        .setProtectedHeader({ alg: ALGORITHM, kid, typ: "JWT" })
        .setIssuer(DEVELOPMENT_ISSUER)
        .setAudience(AUDIENCE)
        .setSubject(subject)
        .setIssuedAt(nowSeconds)
        .setExpirationTime(nowSeconds + expiresInSeconds)
        .sign(await importJWK({ ...key }, ALGORITHM));
    },
  };
}
