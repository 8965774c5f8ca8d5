/**
 * Who is asking: verifies bearer tokens (JWT by the issuer's public keys) and tells their scopes.
 *
 * Checked: the algorithm against a list without `none` and shared secrets, signature, issuer,
 * audience, `exp` and `nbf` with 5 s of tolerance, and that `exp` and `sub` are there. A token that
 * was found good is believed for at most 30 s more without checking its signature again, never past
 * its `exp`. Revocation before `exp` is not known here.
 */
import { hash } from "node:crypto";
import { type AppError, type Clock, unavailable } from "@headrace/kernel";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose";
import { isScope, type RouteScope, type Scope } from "./auth-scopes.ts";
import type { AuthConfig } from "./config-auth.ts";
import { HttpRefusal } from "./problem.ts";

export interface Principal {
  /** The token's `sub`. */
  readonly subject: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** Verifies the `Authorization` header's token; throws `token.*` (401, or 503 without the keys). */
export type Authenticate = (authorization: string | undefined) => Promise<Principal>;

const ALGORITHMS = ["RS256", "ES256", "EdDSA"];
const TOLERANCE_SECONDS = 5;
/** A key that the issuer withdraws is believed this much longer; verifying costs about 0.2 ms. */
const REMEMBERED_MILLIS = 30_000;
const REMEMBERED_TOKENS = 1_000;
/** Far above any real token; bounds what a stranger can make us decode. */
const MAX_TOKEN_LENGTH = 8_192;

export function createAuthenticator(config: AuthConfig, clock: Clock): Authenticate {
  const keys = keySource(config);
  const remembered = new Map<string, { principal: Principal; untilMillis: number }>();

  return async (authorization) => {
    const token = bearerToken(authorization);
    const digest = hash("sha256", token, "base64");
    const known = remembered.get(digest);
    const nowMillis = clock.now();
    if (known !== undefined && nowMillis < known.untilMillis) return known.principal;

    const payload = await verified(token, keys, config, nowMillis);
    const principal = { subject: String(payload.sub), scopes: scopesOf(payload) };
    const expiresAtMillis = Number(payload.exp) * 1000;
    if (remembered.size >= REMEMBERED_TOKENS) remembered.clear();
    remembered.set(digest, {
      principal,
      untilMillis: Math.min(nowMillis + REMEMBERED_MILLIS, expiresAtMillis),
    });
    return principal;
  };
}

/** Throws `token.scope` (403) when `principal` may not use a route of `scope`. */
export function requireScope(principal: Principal, scope: RouteScope): void {
  if (scope === "public" || principal.scopes.has(scope)) return;
  throw new HttpRefusal(403, "token.scope", `the token does not hold the scope ${scope}`, {
    "www-authenticate": `Bearer realm="headrace", error="insufficient_scope", scope="${scope}"`,
  });
}

function bearerToken(authorization: string | undefined): string {
  const match = /^Bearer +(\S+) *$/i.exec(authorization ?? "");
  if (match?.[1] === undefined) {
    throw new HttpRefusal(
      401,
      "token.missing",
      "send a token in the header Authorization: Bearer <token>",
      { "www-authenticate": 'Bearer realm="headrace"' },
    );
  }
  if (match[1].length > MAX_TOKEN_LENGTH) throw badToken("token.invalid", "the token is too long");
  return match[1];
}

async function verified(
  token: string,
  keys: JWTVerifyGetKey,
  config: AuthConfig,
  nowMillis: number,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ALGORITHMS,
      issuer: config.issuer,
      audience: config.audience,
      clockTolerance: TOLERANCE_SECONDS,
      currentDate: new Date(nowMillis),
      requiredClaims: ["exp", "sub"],
    });
    return payload;
  } catch (error) {
    throw tokenError(error);
  }
}

function tokenError(error: unknown): AppError {
  if (error instanceof errors.JWTExpired) {
    return badToken("token.expired", "the token has expired: get a new one");
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return badToken("token.invalid", `the token's claim "${error.claim}" is not accepted here`);
  }
  if (isKeyTrouble(error)) {
    return unavailable("token.keys_unavailable", "the issuer's keys cannot be read right now", {
      cause: error,
      retryAfterSeconds: 5,
    });
  }
  return badToken("token.invalid", "the token is malformed, or not signed by a key of its issuer");
}

function isKeyTrouble(error: unknown): boolean {
  return (
    !(error instanceof errors.JOSEError) ||
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error.code === "ERR_JOSE_GENERIC"
  );
}

function badToken(code: string, detail: string): HttpRefusal {
  return new HttpRefusal(401, code, detail, {
    "www-authenticate": `Bearer realm="headrace", error="invalid_token", error_description="${detail.replaceAll('"', "'")}"`,
  });
}

function keySource({ keys }: AuthConfig): JWTVerifyGetKey {
  return "url" in keys
    ? createRemoteJWKSet(keys.url, { timeoutDuration: 3_000 })
    : createLocalJWKSet(keys as JSONWebKeySet);
}

/** `scope` is a list in one string (RFC 8693), `scp` a string or an array; what is not ours is skipped. */
function scopesOf({ scope, scp }: JWTPayload): ReadonlySet<Scope> {
  const words = [scope, scp].flat().flatMap((claim) => String(claim ?? "").split(" "));
  return new Set(words.filter(isScope));
}
