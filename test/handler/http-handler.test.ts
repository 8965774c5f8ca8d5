import {
  answerWith,
  durationParam,
  instantParam,
  limitParam,
  type Purpose,
  requireRange,
  route,
  routeFacts,
  textParam,
} from "@headrace/handler";
import { bug, conflict, invalid, type Logger, notFound, unavailable } from "@headrace/kernel";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Served, serve } from "./serve.ts";

const DAY = 86_400_000_000;
const lines: { message: string; fields: Record<string, unknown> }[] = [];
const log = recordingLogger();

const routes = {
  "GET /v1/echo": route(
    {
      scope: "reports:read",
      query: z.strictObject({
        size: z.enum(["10s", "1m"]),
        from: instantParam,
        to: instantParam,
        window: durationParam({
          minMicros: 10_000_000,
          maxMicros: DAY,
          stepMicros: 10_000_000,
        }).default(60_000_000),
        limit: limitParam({ standard: 100, max: 1000 }),
      }),
      answer: z.looseObject({}),
    },
    ({ query, nowMicros, principal }) => {
      requireRange({ fromMicros: query.from, toMicros: query.to }, { maxMicros: 7 * DAY });
      return { ...query, nowMicros, subject: principal.subject };
    },
  ),
  "GET /v1/users/{id}/profile": route(
    {
      scope: "reports:read",
      params: z.strictObject({ id: textParam(128) }),
      answer: z.strictObject({ id: z.string() }),
    },
    ({ params }) => ({ id: params.id }),
  ),
  "GET /v1/users/all/profile": route(
    { scope: "reports:read", answer: z.strictObject({ all: z.boolean() }) },
    () => ({ all: true }),
  ),
  "POST /v1/things": route(
    {
      scope: "reports:read",
      body: z.strictObject({
        name: z.string(),
        items: z.array(z.strictObject({ quantity: z.int() })),
      }),
      maxBodyBytes: 1_000,
      status: 201,
      answer: z.strictObject({ name: z.string() }),
    },
    ({ body }) => ({ name: body.name }),
  ),
  "PUT /v1/anything": route(
    { scope: "admin", body: z.unknown(), maxBodyBytes: 1 << 20, answer: z.unknown() },
    ({ body }) => ({ kind: Array.isArray(body) ? "array" : typeof body }),
  ),
  "GET /v1/pages": route(
    {
      scope: "reports:read",
      query: z.strictObject({
        limit: limitParam({ standard: 3, max: 10 }),
        kind: textParam(10).optional(),
      }),
      cursor: z.tuple([z.int()]),
      answer: z.strictObject({ rows: z.array(z.number()), next_cursor: z.string().nullable() }),
    },
    ({ query, after, cursorAfter }) => {
      const first = (after?.[0] ?? 0) + 1;
      const rows = [...Array(query.limit).keys()].map((at) => first + at).filter((row) => row <= 8);
      const last = rows.at(-1);
      return { rows, next_cursor: last === undefined || last === 8 ? null : cursorAfter([last]) };
    },
  ),
  "POST /v1/act": route({ scope: "reports:read", answer: z.null() }, () => null),
  "GET /health": route(
    { scope: "public", answer: z.strictObject({ ok: z.boolean() }) },
    ({ principal }) =>
      answerWith(principal === undefined ? 200 : 500, { ok: true }, { "x-extra": "yes" }),
  ),
  "GET /v1/fails/{how}": route(
    {
      scope: "public",
      params: z.strictObject({ how: z.string() }),
      answer: z.strictObject({ figure: z.number().nullable() }),
    },
    ({ params }) => fail(params.how),
  ),
  "GET /v1/figures": route({ scope: "public", answer: z.unknown() }, () => ({
    large: 12345678901234567890n,
    small: 7n,
    none: Number.NaN,
    text: "bigint 1n",
  })),
} as const;

let served: Served;
beforeAll(async () => {
  served = await serve(routes, { log, clock: { now: () => 1_800_000_000_123 }, sqlOf: noDatabase });
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

describe("the query", () => {
  const good = "size=1m&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
  test.each([
    ["an unknown size", "size=2m&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", ["/size"]],
    ["a missing parameter", "size=1m&from=2026-01-01T00:00:00Z", ["/to"]],
    [
      "a time without offset",
      "size=1m&from=2026-01-01T00:00:00&to=2026-01-02T00:00:00Z",
      ["/from"],
    ],
    [
      "a day that does not exist",
      "size=1m&from=2026-02-30T00:00:00Z&to=2026-03-02T00:00:00Z",
      ["/from"],
    ],
    [
      "a time beyond exact microseconds",
      "size=1m&from=2026-01-01T00:00:00Z&to=9999-01-01T00:00:00Z",
      ["/to"],
    ],
    ["an unknown parameter", `${good}&colour=red`, ["/colour"]],
    ["a repeated parameter", `${good}&size=10s`, ["/size"]],
    ["a token in the query", `${good}&access_token=abc`, ["/access_token"]],
    ["a cursor where there are no pages", `${good}&cursor=abc`, ["/cursor"]],
    ["a window of no whole steps", `${good}&window=15s`, ["/window"]],
    ["a window of nothing", `${good}&window=0s`, ["/window"]],
    ["a window that is too long", `${good}&window=2d`, ["/window"]],
    ["a limit of zero", `${good}&limit=0`, ["/limit"]],
    ["a limit above the most", `${good}&limit=1001`, ["/limit"]],
    ["a limit that is no number", `${good}&limit=1e2`, ["/limit"]],
    ["a broken escape", `${good}&limit=%zz`, ["/limit"]],
    ["an escape that is no UTF-8", `${good}&limit=%ff`, ["/limit"]],
    ["a NUL character", `${good}&limit=%00`, ["/limit"]],
    ["several faults", "size=2m&from=x&to=y&z=1", ["/size", "/from", "/to", "/z"]],
  ])("is refused with every fault named: %s", async (_what, query, paths) => {
    const reply = await served.get(`/v1/echo?${query}`);
    expect([reply.status, reply.body.code]).toEqual([400, "request.query"]);
    expect(reply.body.errors.map(({ path }: { path: string }) => path)).toEqual(paths);
  });

  test.each([
    ["inverted", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "/to"],
    ["empty", "from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "/to"],
    ["too long", "from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:00.000001Z", "/from"],
  ])("a range that is %s is refused", async (_what, range, path) => {
    const reply = await served.get(`/v1/echo?size=1m&${range}`);
    expect([reply.status, reply.body.code]).toEqual([400, "report.range"]);
    expect(reply.body.errors).toEqual([{ path, message: reply.body.detail }]);
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

describe("the body", () => {
  const good = { name: "é", items: [{ quantity: 1 }] };

  test("is read by its schema", async () => {
    const text = ` ${JSON.stringify(good)} `;
    const reply = await served.ask("POST", "/v1/things", {
      body: text,
      headers: { "content-type": "Application/JSON; charset=UTF-8" },
    });
    expect([reply.status, reply.body]).toEqual([201, { name: "é" }]);
  });

  test.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["two values", "{} {}"],
    ["NaN", "NaN"],
  ])("that is %s is refused", async (_what, body) => {
    const reply = await served.ask("POST", "/v1/things", { body });
    expect([reply.status, reply.body.code]).toEqual([400, "body.not_json"]);
  });

  test("that is no UTF-8 is refused", async () => {
    const body = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    const reply = await served.ask("POST", "/v1/things", { body: new Uint8Array(body) });
    expect([reply.status, reply.body.code]).toEqual([400, "body.not_json"]);
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=latin1",
    "application/jsonx",
  ])("of another content type is refused: %s", async (type) => {
    const reply = await served.ask("POST", "/v1/things", {
      body: JSON.stringify(good),
      headers: { "content-type": type },
    });
    expect([reply.status, reply.body.code]).toEqual([415, "body.content_type"]);
    expect(reply.headers.get("accept")).toBe("application/json");
  });

  test("without a content type, or compressed, is refused", async () => {
    const none = await served.ask("POST", "/v1/things", {
      body: new Uint8Array([123, 125]),
      headers: { "content-type": "" },
    });
    expect([none.status, none.body.code]).toEqual([415, "body.content_type"]);
    const zipped = await served.ask("POST", "/v1/things", {
      body: JSON.stringify(good),
      headers: { "content-encoding": "gzip" },
    });
    expect([zipped.status, zipped.body.code]).toEqual([415, "body.content_type"]);
  });

  test("larger than the route's limit is refused, one of exactly the limit is not", async () => {
    const padded = (bytes: number) => {
      const empty = JSON.stringify({ ...good, name: "" });
      return JSON.stringify({ ...good, name: "x".repeat(bytes - Buffer.byteLength(empty)) });
    };
    expect((await served.ask("POST", "/v1/things", { body: padded(1_000) })).status).toBe(201);
    const reply = await served.ask("POST", "/v1/things", { body: padded(1_001) });
    expect([reply.status, reply.body.code]).toEqual([413, "body.too_large"]);
  });

  test("that does not fit is refused with a pointer to each fault", async () => {
    const reply = await served.ask("POST", "/v1/things", {
      body: JSON.stringify({ items: [{ quantity: 1 }, { quantity: 1.5, "a/b": 1 }], more: true }),
    });
    expect([reply.status, reply.body.code]).toEqual([400, "request.body"]);
    expect(reply.body.errors).toEqual([
      { path: "/name", message: "is missing" },
      { path: "/items/1/quantity", message: "must be a whole number" },
      { path: "/items/1/a~1b", message: "is not known here" },
      { path: "/more", message: "is not known here" },
    ]);
  });

  test("nested beyond reason is refused, and deep nesting within it is read", async () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    expect((await served.ask("PUT", "/v1/anything", { body: nested(1_000) })).body).toEqual({
      kind: "array",
    });
    const reply = await served.ask("PUT", "/v1/anything", { body: nested(400_000) });
    expect([reply.status, reply.body.code]).toEqual([400, "body.too_deep"]);
    const inText = JSON.stringify({ text: `\\"${"[".repeat(5_000)}` });
    expect((await served.ask("PUT", "/v1/anything", { body: inText })).body).toEqual({
      kind: "object",
    });
  });

  test("sent to a route that takes none is refused", async () => {
    const reply = await served.ask("POST", "/v1/act", { body: "{}" });
    expect([reply.status, reply.body.code]).toEqual([400, "body.unexpected"]);
    expect((await served.ask("POST", "/v1/act", {})).status).toBe(200);
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

function fail(how: string): { figure: number | null } {
  if (how === "invalid") throw invalid("thing.wrong", "wrong");
  if (how === "not_found") throw notFound("thing.unknown", "there is no such thing");
  if (how === "conflict") throw conflict("thing.taken", "taken");
  if (how === "unavailable") throw unavailable("thing.away", "away");
  if (how === "later") throw unavailable("thing.away", "away", { retryAfterSeconds: 17 });
  if (how === "status") throw invalid("user.unknown", "no such user", { status: 422 });
  if (how === "bug") throw bug("thing.broken", "broken at secret-host");
  if (how === "kafka") throw unavailable("kafka.unavailable", "no answer from secret-host:9092");
  if (how === "reset") throw Object.assign(new Error("read"), { code: "ECONNRESET" });
  // A library may throw anything.
  if (how === "nothing") throw undefined;
  if (how === "shape") return { figure: "text" as unknown as number };
  throw new TypeError("secret-host is undefined");
}

function noDatabase(purpose: Purpose): never {
  throw new Error(`no database for ${purpose}`);
}

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
