import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createAuthenticator, readConfig, route } from "@headrace/handler";
import { SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import {
  AUDIENCE,
  type Claims,
  goodClaims,
  ISSUER,
  type Keys,
  makeKeys,
  type Served,
  serve,
} from "./serve.ts";

const routes = {
  "GET /v1/private": route(
    {
      scope: "users:read",
      answer: z.strictObject({ subject: z.string(), scopes: z.array(z.string()) }),
    },
    ({ principal }) => ({ subject: principal.subject, scopes: [...principal.scopes] }),
  ),
};

let served: Served;
beforeAll(async () => {
  served = await serve(routes);
});
afterAll(() => served.close());

const ask = (token: string | null) => served.get("/v1/private", { token });
const nowSeconds = () => Math.floor(Date.now() / 1000);

describe("a good token", () => {
  test.each(["EdDSA", "ES256", "RS256"] as const)("signed by %s opens the route", async (alg) => {
    const reply = await ask(await served.keys.sign(goodClaims("users:read"), { alg }));
    expect([reply.status, reply.body]).toEqual([
      200,
      { subject: "tester", scopes: ["users:read"] },
    ]);
  });

  test.each<[string, Claims]>([
    ["scope, a text", { scope: "openid users:read  admin" }],
    ["scp, a list", { scope: undefined, scp: ["users:read", "admin", "other"] }],
    ["scp, a text", { scope: undefined, scp: "users:read admin" }],
    ["both", { scope: "admin", scp: ["users:read"] }],
  ])("may name its scopes in %s; unknown ones are skipped", async (_where, claims) => {
    const reply = await ask(await served.keys.sign({ ...goodClaims(""), ...claims }));
    expect([reply.status, reply.body?.scopes.toSorted()]).toEqual([200, ["admin", "users:read"]]);
  });

  test("may name several audiences, and be a few seconds late or early", async () => {
    const claims: readonly Claims[] = [
      { aud: ["other", AUDIENCE] },
      { exp: nowSeconds() - 2 },
      { nbf: nowSeconds() + 2 },
    ];
    for (const spoilt of claims) {
      const reply = await ask(await served.keys.sign({ ...goodClaims("users:read"), ...spoilt }));
      expect([spoilt, reply.status]).toEqual([spoilt, 200]);
    }
  });

  test("is taken whatever the case of Bearer", async () => {
    const token = await served.token("users:read");
    const reply = await served.get("/v1/private", {
      token: null,
      headers: { authorization: `bEARER ${token}` },
    });
    expect(reply.status).toBe(200);
  });
});

describe("no token", () => {
  test.each([undefined, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token abc"])(
    "is 401 and says how to send one: %j",
    async (authorization) => {
      const reply = await served.get("/v1/private", {
        token: null,
        ...(authorization === undefined ? {} : { headers: { authorization } }),
      });
      expect([reply.status, reply.body.code]).toEqual([401, "token.missing"]);
      expect(reply.headers.get("www-authenticate")).toBe('Bearer realm="headrace"');
    },
  );

  test("in the header is not made up for by one in the URL, a cookie or a body", async () => {
    const token = await served.token("users:read");
    const reply = await served.get(`/v1/private?access_token=${token}`, {
      token: null,
      headers: { cookie: `token=${token}`, "x-access-token": token },
    });
    expect([reply.status, reply.body.code]).toEqual([401, "token.missing"]);
  });
});

describe("a bad token", () => {
  test.each<[string, Claims, string]>([
    ["expired", { exp: nowSeconds() - 60 }, "token.expired"],
    ["not valid yet", { nbf: nowSeconds() + 60 }, "token.invalid"],
    ["of another issuer", { iss: "https://elsewhere.test/" }, "token.invalid"],
    ["for another audience", { aud: "other" }, "token.invalid"],
    ["without an expiry", { exp: undefined }, "token.invalid"],
    ["without a subject", { sub: undefined }, "token.invalid"],
    ["without an issuer", { iss: undefined }, "token.invalid"],
    ["without an audience", { aud: undefined }, "token.invalid"],
  ])("is 401 when it is %s", async (_what, spoilt, code) => {
    const reply = await ask(await served.keys.sign({ ...goodClaims("users:read"), ...spoilt }));
    expect([reply.status, reply.body.code]).toEqual([401, code]);
    expect(reply.headers.get("www-authenticate")).toContain('error="invalid_token"');
  });

  test("is 401 with alg none", async () => {
    const token = new UnsecuredJWT(goodClaims("users:read")).encode();
    const [, payload] = (await served.token("users:read")).split(".");
    const header = (alg: string) => Buffer.from(JSON.stringify({ alg })).toString("base64url");
    for (const bad of [
      token,
      `${header("NONE")}.${payload}.`,
      `${header("none")}.${payload}.AAAA`,
    ]) {
      const reply = await ask(bad);
      expect([reply.status, reply.body.code]).toEqual([401, "token.invalid"]);
    }
  });

  test("is 401 when it is signed by a public key taken for a shared secret", async () => {
    for (const jwk of served.keys.jwks.keys) {
      for (const secret of [JSON.stringify(jwk), String(jwk.x ?? jwk.n)]) {
        const token = await new SignJWT(goodClaims("users:read"))
          .setProtectedHeader({ alg: "HS256", kid: String(jwk.kid) })
          .sign(Buffer.from(secret));
        const reply = await ask(token);
        expect([reply.status, reply.body.code]).toEqual([401, "token.invalid"]);
      }
    }
  });

  test("is 401 when its key is unknown, another's, or named for another algorithm", async () => {
    const stranger = await makeKeys();
    const bad = [
      await stranger.sign(goodClaims("users:read")),
      await stranger.sign(goodClaims("users:read"), { alg: "RS256" }),
      await served.keys.sign(goodClaims("users:read"), { kid: "unknown" }),
      await served.keys.sign(goodClaims("users:read"), { alg: "ES256", kid: "RS256" }),
    ];
    for (const token of bad) {
      const reply = await ask(token);
      expect([reply.status, reply.body.code]).toEqual([401, "token.invalid"]);
    }
  });

  test("is 401 when any part of it was changed, cut or is garbage", async () => {
    const token = await served.token("users:read");
    const [header = "", payload = "", signature = ""] = token.split(".");
    const admin = Buffer.from(JSON.stringify(goodClaims("users:read admin"))).toString("base64url");
    const bad = [
      `${header}.${admin}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -4)}`,
      `${header}.${payload}`,
      `${header}.${payload}.${signature}.${signature}`,
      "abc",
      "a.b.c",
      "....",
      "x".repeat(9_000),
      `${token}x`,
    ];
    for (const each of bad) {
      const reply = await ask(each);
      expect([each.slice(0, 20), reply.status, reply.body.code]).toEqual([
        each.slice(0, 20),
        401,
        "token.invalid",
      ]);
    }
  });

  test("is 401 when the header is sent twice", async () => {
    const token = await served.token("users:read");
    const reply = await served.get("/v1/private", {
      token: null,
      headers: { authorization: `Bearer ${token},Bearer ${token}` },
    });
    expect([reply.status, reply.body.code]).toEqual([401, "token.missing"]);
  });
});

describe("a token without the scope", () => {
  test("is 403 and says which scope it takes", async () => {
    for (const scopes of ["reports:read admin", "", "users:READ", "users:read:all"]) {
      const reply = await ask(await served.keys.sign(goodClaims(scopes)));
      expect([reply.status, reply.body.code]).toEqual([403, "token.scope"]);
      expect(reply.headers.get("www-authenticate")).toContain('scope="users:read"');
    }
  });
});

describe("a token that was found good before", () => {
  test("is refused from its expiry on", async () => {
    let nowMillis = Date.now();
    const keys = await makeKeys();
    const authenticate = createAuthenticator(
      { issuer: ISSUER, audience: AUDIENCE, keys: keys.jwks },
      { now: () => nowMillis },
    );
    const header = `Bearer ${await keys.sign({ ...goodClaims("admin", nowMillis), exp: Math.floor(nowMillis / 1000) + 10 })}`;
    await authenticate(header);
    nowMillis += 9_000;
    await authenticate(header);
    nowMillis += 7_000;
    await expect(authenticate(header)).rejects.toMatchObject({
      code: "token.expired",
      status: 401,
    });
  });
});

describe("the issuer's keys by address", () => {
  let jwks: Keys["jwks"];
  let failing = false;
  let asked = 0;
  const issuer = createServer((_request, response) => {
    asked += 1;
    response.writeHead(failing ? 500 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(jwks));
  });
  let url: string;
  beforeAll(async () => {
    await new Promise<void>((resolve) => issuer.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/jwks.json`;
  });
  afterAll(() => issuer.close());

  const authenticator = (address = url) => {
    const { auth } = readConfig({
      AUTH_ISSUER: ISSUER,
      AUTH_AUDIENCE: AUDIENCE,
      AUTH_JWKS_URL: address,
    });
    if (auth === undefined) throw new Error("no auth");
    return createAuthenticator(auth, { now: () => Date.now() });
  };

  test("are fetched once for many tokens", async () => {
    const keys = await makeKeys();
    jwks = keys.jwks;
    asked = 0;
    const authenticate = authenticator();
    for (let at = 0; at < 5; at++) {
      await authenticate(`Bearer ${await keys.sign({ ...goodClaims("admin"), jti: String(at) })}`);
    }
    expect(asked).toBe(1);
  });

  test("that cannot be read are no fault of the token", async () => {
    const keys = await makeKeys();
    failing = true;
    const token = `Bearer ${await keys.sign(goodClaims("admin"))}`;
    const trouble = { kind: "unavailable", code: "token.keys_unavailable" };
    await expect(authenticator()(token)).rejects.toMatchObject(trouble);
    await expect(authenticator("http://127.0.0.1:1/")(token)).rejects.toMatchObject(trouble);
    failing = false;
    jwks = {} as Keys["jwks"];
    await expect(authenticator()(token)).rejects.toMatchObject(trouble);
  });
});
