/** What a request may carry in its query and its body, and how the rest is refused. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serveRoutes } from "./http-routes.ts";
import type { Served } from "./serve.ts";

let served: Served;
beforeAll(async () => {
  served = await serveRoutes();
});
afterAll(() => served.close());

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
