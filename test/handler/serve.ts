/**
 * A real HTTP server over test routes, believing three issuer keys (EdDSA, ES256, RS256), and tokens
 * signed by them: what the tests of the HTTP wrapper ask.
 */
import {
  createAuthenticator,
  type HttpOptions,
  httpHandler,
  type RouteKey,
  type Routes,
  systemClock,
} from "@headrace/handler";
import { type Clock, silentLogger } from "@headrace/kernel";
import { startHttpServer } from "@headrace/local";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

export const ISSUER = "https://issuer.test/";
export const AUDIENCE = "headrace-test";

/** undefined leaves a claim out. */
export type Claims = Readonly<Record<string, unknown>>;
export type Algorithm = "EdDSA" | "ES256" | "RS256";

export interface Keys {
  /** The public halves, as AUTH_JWKS states them. */
  readonly jwks: {
    readonly keys: readonly {
      readonly kty: "RSA" | "EC" | "OKP";
      readonly [member: string]: unknown;
    }[];
  };
  sign(
    claims: Claims,
    options?: { readonly alg?: Algorithm; readonly kid?: string },
  ): Promise<string>;
}

export async function makeKeys(): Promise<Keys> {
  const algorithms: readonly Algorithm[] = ["EdDSA", "ES256", "RS256"];
  const pairs = new Map(
    await Promise.all(
      algorithms.map(
        async (alg) => [alg, await generateKeyPair(alg, { extractable: true })] as const,
      ),
    ),
  );
  const keys = await Promise.all(
    [...pairs].map(async ([alg, { publicKey }]) => {
      const jwk = await exportJWK(publicKey);
      return { ...jwk, kty: jwk.kty as "RSA" | "EC" | "OKP", kid: alg, alg };
    }),
  );
  return {
    jwks: { keys },
    async sign(claims, { alg = "EdDSA", kid = alg } = {}) {
      const pair = pairs.get(alg);
      if (pair === undefined) throw new Error(`no key for ${alg}`);
      return new SignJWT({ ...claims }).setProtectedHeader({ alg, kid }).sign(pair.privateKey);
    },
  };
}

/** Claims of a good token at `nowMillis`, to be spoilt one by one. */
export function goodClaims(scope: string, nowMillis = Date.now()) {
  const seconds = Math.floor(nowMillis / 1000);
  return { iss: ISSUER, aud: AUDIENCE, sub: "tester", exp: seconds + 600, scope };
}

export interface Served {
  readonly url: string;
  readonly keys: Keys;
  /** A good token with these scopes. */
  token(...scopes: readonly string[]): Promise<string>;
  get(path: string, options?: AskOptions): Promise<Reply>;
  ask(method: string, path: string, options?: AskOptions): Promise<Reply>;
  close(): Promise<void>;
}

export interface AskOptions {
  /** Undefined: a good one with every scope that the tests use; null: none. */
  readonly token?: string | null;
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; undefined where there is none. */
  readonly body: ReplyBody;
}

// biome-ignore lint/suspicious/noExplicitAny: an answer's shape is what the tests assert.
export type ReplyBody = any;

export async function serve(
  routes: Routes,
  options: HttpOptions & { readonly clock?: Clock } = {},
): Promise<Served> {
  const keys = await makeKeys();
  const clock = options.clock ?? systemClock;
  const authenticate = createAuthenticator(
    { issuer: ISSUER, audience: AUDIENCE, keys: keys.jwks },
    clock,
  );
  const log = options.log ?? silentLogger;
  const handler = httpHandler(routes, { authenticate, ...options, log });
  const server = await startHttpServer({
    port: 0,
    portWasNamed: true,
    routes: new Map(Object.keys(routes).map((key) => [key as RouteKey, { handler }])),
    log,
  });
  const token = (...scopes: readonly string[]) =>
    keys.sign(goodClaims(scopes.join(" "), clock.now()));
  const ask = async (method: string, path: string, given: AskOptions = {}): Promise<Reply> => {
    const bearer = given.token === undefined ? await token("reports:read", "admin") : given.token;
    const response = await fetch(server.url + path, {
      method,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(given.body === undefined ? {} : { "content-type": "application/json" }),
        ...given.headers,
      },
      ...(given.body === undefined ? {} : { body: given.body }),
    });
    const text = await response.text();
    const { status, headers } = response;
    return { status, headers, text, body: text === "" ? undefined : JSON.parse(text) };
  };
  return {
    url: server.url,
    keys,
    token,
    ask,
    get: (path, given) => ask("GET", path, given),
    close: () => server.close(0),
  };
}
