import { routeFacts } from "@headrace/handler";
import type { Logger } from "@headrace/kernel";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { routes, serveRoutes } from "./http-routes.ts";
import type { Served } from "./serve.ts";

const lines: { message: string; fields: Record<string, unknown> }[] = [];

let served: Served;
beforeAll(async () => {
  served = await serveRoutes(recordingLogger());
});
afterAll(() => served.close());

describe("what a route is", () => {
  test("routes tell method, path and scope as data", () => {
    expect(routeFacts(routes).slice(0, 2)).toEqual([
      { method: "GET", path: "/v1/echo", scope: "reports:read" },
      { method: "GET", path: "/v1/users/{id}/profile", scope: "reports:read" },
    ]);
  });

  test("a request's input reaches the body through the schemas", async () => {
    const reply = await served.get(
      "/v1/echo?size=10s&from=2026-01-01T00:00:00.123456789Z&to=2026-01-01T02:00:00%2B02:00&window=5m",
    );
    expect(reply.status).toBe(400);
    expect(reply.body.code).toBe("report.range");
    const good = await served.get(
      "/v1/echo?size=10s&from=2026-01-01T00:00:00.123456789Z&to=2026-01-01T03:00:00+02:00&window=5m",
    );
    expect(good.status).toBe(200);
    expect(good.body).toEqual({
      size: "10s",
      from: 1767225600123456,
      to: 1767229200000000,
      window: 300_000_000,
      limit: 100,
      nowMicros: 1_800_000_000_123_000,
      subject: "tester",
    });
  });

  test("a public route needs no token and believes none", async () => {
    const reply = await served.get("/health", { token: "rubbish" });
    expect([reply.status, reply.body, reply.headers.get("x-extra")]).toEqual([
      200,
      { ok: true },
      "yes",
    ]);
  });
});

describe("the path", () => {
  test.each([
    ["tester", "tester"],
    ["a%2Fb%2Fc", "a/b/c"],
    ["100%25", "100%"],
    ["%C3%A9%20%2B+", "é ++"],
    ["%7Bid%7D", "{id}"],
    ["..%2F..", "../.."],
  ])("an id may be any escaped text: %s", async (escaped, id) => {
    const reply = await served.get(`/v1/users/${escaped}/profile`);
    expect([reply.status, reply.body]).toEqual([200, { id }]);
  });

  test("a fixed path comes before one with a parameter", async () => {
    expect((await served.get("/v1/users/all/profile")).body).toEqual({ all: true });
  });

  test.each([
    ["a broken escape", "%zz"],
    ["half an escape", "%4"],
    ["an escape that is no UTF-8", "%ff%fe"],
    ["a NUL character", "a%00b"],
    ["more than 128 characters", "x".repeat(129)],
  ])("is refused with %s", async (_what, id) => {
    const reply = await served.get(`/v1/users/${id}/profile`);
    expect([reply.status, reply.body.code]).toEqual([400, "request.path"]);
  });

  test.each(["/", "/v1", "/v1/echo/", "/v1/users//profile", "/v1/users/a/b/profile", "/V1/echo"])(
    "one that is not there is 404 without a token: %s",
    async (path) => {
      const reply = await served.get(path, { token: null });
      expect([reply.status, reply.body.code]).toEqual([404, "route.unknown"]);
    },
  );

  test.each(["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])(
    "a method that is not there is 405 and says which are: %s",
    async (method) => {
      const reply = await served.ask(method, "/v1/echo", { token: null });
      expect([reply.status, reply.body.code]).toEqual([405, "method.not_allowed"]);
      expect(reply.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
    },
  );

  test("HEAD answers as GET without the body", async () => {
    const head = await served.ask("HEAD", "/health", { token: null });
    const get = await served.get("/health", { token: null });
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
    const refused = await served.ask("HEAD", "/v1/echo", { token: null });
    expect([refused.status, refused.text]).toEqual([401, ""]);
  });

  test("OPTIONS tells the methods and permits no other origin", async () => {
    const reply = await served.ask("OPTIONS", "/v1/things", {
      token: null,
      headers: { origin: "https://elsewhere.test", "access-control-request-method": "POST" },
    });
    expect([reply.status, reply.text, reply.headers.get("allow")]).toEqual([
      204,
      "",
      "POST, OPTIONS",
    ]);
    expect([...reply.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual(
      [],
    );
  });
});

describe("pages", () => {
  test("a cursor goes on after the last row, to the end, also with another limit", async () => {
    const first = await served.get("/v1/pages?kind=a");
    expect(first.body.rows).toEqual([1, 2, 3]);
    const second = await served.get(`/v1/pages?limit=4&cursor=${first.body.next_cursor}&kind=a`);
    expect(second.body.rows).toEqual([4, 5, 6, 7]);
    const last = await served.get(`/v1/pages?kind=a&cursor=${second.body.next_cursor}`);
    expect(last.body).toEqual({ rows: [8], next_cursor: null });
  });

  test("a cursor of another query, a garbled or a forged one is refused", async () => {
    const { next_cursor: cursor } = (await served.get("/v1/pages?kind=a")).body;
    const [version, fingerprint] = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const forged = (content: unknown) => Buffer.from(JSON.stringify(content)).toString("base64url");
    const bad = [
      `kind=b&cursor=${cursor}`,
      `cursor=${cursor}`,
      `kind=a&cursor=${cursor}A`,
      `kind=a&cursor=${cursor.slice(0, -2)}`,
      "kind=a&cursor=",
      "kind=a&cursor=%2B%2F",
      `kind=a&cursor=${"A".repeat(5_000)}`,
      `kind=a&cursor=${forged([version, fingerprint, ["1; drop table"]])}`,
      `kind=a&cursor=${forged([version, fingerprint, [1, 2]])}`,
      `kind=a&cursor=${forged([version + 1, fingerprint, [1]])}`,
      `kind=a&cursor=${forged({ key: 1 })}`,
      `kind=a&cursor=${forged(null)}`,
    ];
    for (const query of bad) {
      const reply = await served.get(`/v1/pages?${query}`);
      expect([query, reply.status, reply.body.code]).toEqual([query, 400, "cursor.invalid"]);
    }
  });
});

describe("answers", () => {
  test("every answer has the security headers and its request's id", async () => {
    const replies = [
      await served.get("/health"),
      await served.get("/v1/nothing"),
      await served.get("/v1/fails/unforeseen"),
      await served.ask("OPTIONS", "/health"),
    ];
    for (const { headers } of replies) {
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
      expect(headers.get("x-powered-by")).toBeNull();
    }
    expect(replies.map(({ headers }) => headers.get("content-type"))).toEqual([
      "application/json",
      "application/problem+json",
      "application/problem+json",
      null,
    ]);
    expect(new Set(replies.map(({ headers }) => headers.get("x-request-id"))).size).toBe(4);
  });

  test("integers keep every digit and NaN is null", async () => {
    const { text } = await served.get("/v1/figures");
    expect(text).toBe('{"large":12345678901234567890,"small":7,"none":null,"text":"bigint 1n"}');
  });

  test("a refusal is a problem document", async () => {
    const { body } = await served.get("/v1/fails/not_found");
    expect(body).toEqual({
      type: "urn:headrace:problem:thing.unknown",
      title: "Not Found",
      status: 404,
      code: "thing.unknown",
      detail: "there is no such thing",
    });
  });

  test.each([
    ["invalid", 400, "thing.wrong", null],
    ["conflict", 409, "thing.taken", null],
    ["unavailable", 503, "thing.away", "1"],
    ["later", 503, "thing.away", "17"],
    ["status", 422, "user.unknown", null],
    ["bug", 500, "thing.broken", null],
    ["unforeseen", 500, "bug.unexpected", null],
    ["nothing", 500, "bug.unexpected", null],
    ["shape", 500, "answer.shape", null],
    ["reset", 503, "database.unavailable", "5"],
  ])("an error of kind %s has its status", async (how, status, code, retryAfter) => {
    const reply = await served.get(`/v1/fails/${how}`);
    expect([reply.status, reply.body.code, reply.headers.get("retry-after")]).toEqual([
      status,
      code,
      retryAfter,
    ]);
  });

  test("what went wrong inside stays inside, and the log has it under the request's id", async () => {
    for (const how of ["unforeseen", "bug", "kafka"]) {
      lines.length = 0;
      const reply = await served.get(`/v1/fails/${how}`);
      expect(reply.text).not.toContain("secret-host");
      const line = lines.find(
        ({ fields }) => fields.requestId === reply.headers.get("x-request-id"),
      );
      expect(JSON.stringify(line)).toContain("secret-host");
      expect(line?.fields.route).toBe("GET /v1/fails/{how}");
    }
  });
});

function recordingLogger(bound: Record<string, unknown> = {}): Logger {
  const record = (message: string, fields: Record<string, unknown> = {}): void => {
    lines.push({ message, fields: { ...bound, ...fields } });
  };
  return {
    debug: () => {},
    info: record,
    warn: record,
    error: record,
    with: (fields) => recordingLogger({ ...bound, ...fields }),
  };
}
