import { fillJoins, findJoins, type Lease } from "@headrace/db";
import { silentLogger } from "@headrace/kernel";
import { beforeEach, expect, test } from "vitest";
import { afterCut, awaitCut } from "../db/await-cut.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
process.env.DATABASE_WORKER_URL = db.workerUrl;
const client = await httpClient(await import("../../functions/http/joins.ts"), [
  "reports:read",
  "admin",
]);
const reports = await httpClient(await import("../../functions/http/reports.ts"), ["reports:read"]);
const { cron } = await import("../../functions/cron/find-joins.ts");
const worker = testPool(db.workerUrl);

let lease: Lease;
const find = (limit: number) => afterCut(worker, () => findJoins(worker, lease, limit));
beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, open_windows, leases,
       join_lefts, join_rights, join_counts;
     delete from joins where name not in ('login-purchase', 'view-cart')`,
  );
  lease = await leaseOf(worker, "find-joins");
});

const runCron = async () => {
  await awaitCut(worker);
  await cron.run({ pool: worker, lease, log: silentLogger, signal: new AbortController().signal });
};
const at = (time: string, type: string, more: Record<string, unknown> = {}) =>
  event({ event_time: `2026-01-01T${time}Z`, event_type: type, ...more });
const put = (name: string, left: string, right: string, within: string) =>
  client.ask("PUT", `/v1/joins/${name}`, { body: { left, right, within } });
const DAY = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
const matchesOf = (name: string, query = DAY) => reports.get(`/v1/reports/joins/${name}?${query}`);

test("tells the pairs of a join in order, page by page, with their total", async () => {
  const events = [
    at("10:00:00", "login", { user_id: "a" }),
    at("10:04:00.5", "purchase", { user_id: "a" }),
    at("10:05:00", "purchase", { user_id: "a" }),
    at("10:05:00.000001", "purchase", { user_id: "a" }),
    at("10:04:00", "purchase", { user_id: "b" }),
  ];
  await takeIn(worker, events);
  const [login, first, second] = events.map(({ event_id }) => event_id);
  const expected = [
    {
      user_id: "a",
      left_event_id: login,
      left_time: "2026-01-01T10:00:00Z",
      right_event_id: first,
      right_time: "2026-01-01T10:04:00.5Z",
      seconds: 240.5,
    },
    {
      user_id: "a",
      left_event_id: login,
      left_time: "2026-01-01T10:00:00Z",
      right_event_id: second,
      right_time: "2026-01-01T10:05:00Z",
      seconds: 300,
    },
  ];
  const whole = { matches: expected, total: 2, not_listed: 0, next_cursor: null };
  expect((await matchesOf("login-purchase")).body).toEqual(whole);
  await runCron();
  expect((await matchesOf("login-purchase")).body).toEqual(whole);

  const page = (await matchesOf("login-purchase", `${DAY}&limit=1`)).body;
  expect(page).toMatchObject({ matches: expected.slice(0, 1), total: 2 });
  const next = await matchesOf("login-purchase", `${DAY}&limit=1&cursor=${page.next_cursor}`);
  expect(next.body).toEqual({ ...whole, matches: expected.slice(1) });
  const before = "from=2026-01-01T00:00:00Z&to=2026-01-01T10:00:00Z";
  expect((await matchesOf("login-purchase", before)).body.total).toBe(0);
});

test("without a range tells of the last day, and its pages keep to that range", async () => {
  const now = new Date().toISOString();
  await takeIn(
    worker,
    ["login", "purchase", "purchase"].map((event_type) => event({ event_time: now, event_type })),
  );
  const { body } = await reports.get("/v1/reports/joins/login-purchase?limit=1");
  expect(body.total).toBe(2);
  const target = `/v1/reports/joins/login-purchase?limit=1&cursor=${body.next_cursor}`;
  expect((await reports.get(target)).body).toMatchObject({ total: 2, next_cursor: null });
});

test("lists the joins that there are from the start", async () => {
  expect((await client.get("/v1/joins")).body).toEqual({
    joins: [
      {
        name: "login-purchase",
        left: "login",
        right: "purchase",
        within: "5m",
        state: "active",
        filled: 1,
        change: null,
      },
      {
        name: "view-cart",
        left: "page_view",
        right: "add_to_cart",
        within: "30m",
        state: "active",
        filled: 1,
        change: null,
      },
    ],
  });
});

test("a new join is filled from history, the newest first, and matches new events meanwhile", async () => {
  await takeIn(
    worker,
    ["10:00:00", "11:00:00", "12:00:00"].flatMap((time) => [
      at(time, "search"),
      at(time, "product_view"),
    ]),
  );
  await runCron();
  const made = await put("search-view", "search", "product_view", "2m");
  expect([made.status, made.body]).toEqual([
    201,
    {
      name: "search-view",
      left: "search",
      right: "product_view",
      within: "2m",
      state: "filling",
      filled: 0,
      change: null,
      unseen_types: [],
    },
  ]);
  const refused = await matchesOf("search-view");
  expect([refused.status, refused.body.code]).toEqual([503, "join.filling"]);
  expect(refused.headers["retry-after"]).toBe("5");

  await fillJoins(worker, lease, 1);
  await fillJoins(worker, lease, 1);
  await takeIn(worker, [at("11:00:30", "product_view"), at("10:00:30", "product_view")]);
  await find(100);
  const [, listed] = (await client.get("/v1/joins")).body.joins;
  expect(listed).toMatchObject({ name: "search-view", state: "filling", filled: 0.5 });
  const late = "from=2026-01-01T11:00:00Z&to=2026-01-02T00:00:00Z";
  expect((await matchesOf("search-view", late)).body.total).toBe(3);
  expect((await matchesOf("search-view")).body.detail).toContain("50 %");

  await runCron();
  expect((await matchesOf("search-view")).body.total).toBe(5);
  const again = await put("search-view", "search", "product_view", "120s");
  expect([again.status, again.body.state]).toEqual([200, "active"]);
});

test("a changed join answers as it was until the new version is filled", async () => {
  await put("changing", "search", "purchase", "10m");
  await takeIn(worker, [at("10:00:00", "search"), at("10:05:00", "purchase")]);
  await runCron();
  const changed = await put("changing", "search", "purchase", "1m");
  expect([changed.status, changed.body]).toMatchObject([
    202,
    { within: "10m", state: "active", change: { within: "1m", filled: 0 } },
  ]);
  expect((await matchesOf("changing")).body.total).toBe(1);
  // Another change takes its place, and one back to what answers ends it.
  expect((await put("changing", "search", "purchase", "2m")).body.change.within).toBe("2m");
  expect((await put("changing", "search", "purchase", "10m")).body.change).toBe(null);
  await put("changing", "search", "purchase", "3m");
  await runCron();
  expect((await matchesOf("changing")).body.total).toBe(0);
  expect(await rowsOf(db.pool, "select state from joins where name = 'changing'")).toEqual([
    { state: "active" },
  ]);
  expect(await rowsOf(db.pool, "select from join_lefts")).toEqual([]);
});

test("a removed join is unknown at once, and nothing of it stays", async () => {
  await put("going", "search", "purchase", "10m");
  await takeIn(worker, [at("10:00:00", "search"), at("10:05:00", "purchase")]);
  await runCron();
  const gone = await client.ask("DELETE", "/v1/joins/going");
  expect([gone.status, gone.body]).toEqual([204, undefined]);
  const unknown = await matchesOf("going");
  expect([unknown.status, unknown.body.code]).toEqual([404, "join.unknown"]);
  const twice = await client.ask("DELETE", "/v1/joins/going");
  expect([twice.status, twice.body.code]).toEqual([404, "join.unknown"]);
  await runCron();
  for (const table of ["join_lefts", "join_rights", "join_counts"]) {
    expect(await rowsOf(db.pool, `select from ${table}`), table).toEqual([]);
  }
  expect((await put("going", "search", "purchase", "10m")).status).toBe(201);
});

test("a type of which no event has come yet may be declared, and is named", async () => {
  const { status, body } = await put("early", "page_view", "never.seen", "1h");
  expect([status, body.unseen_types]).toEqual([201, ["never.seen"]]);
});

test("a 21st join is refused", async () => {
  for (let n = 3; n <= 20; n += 1) expect((await put(`j${n}`, "a", "b", "1m")).status).toBe(201);
  const { status, body } = await put("j21", "a", "b", "1m");
  expect([status, body.code]).toEqual([409, "join.too_many"]);
  expect((await put("j20", "a", "b", "2m")).status).toBe(202);
});

test.each([
  ["within", { within: "0s" }],
  ["within", { within: "365d" }],
  ["within", { within: "1441m" }],
  ["within", { within: "-5m" }],
  ["within", { within: 600 }],
  ["left", { left: "Login" }],
  ["right", { right: "" }],
  ["right", { right: "x".repeat(65) }],
  ["unknown", { unknown: 1 }],
])("refuses a declaration with a wrong %s: %j", async (path, wrong) => {
  const body = { left: "login", right: "purchase", within: "5m", ...wrong };
  const refused = await client.ask("PUT", "/v1/joins/some", { body });
  expect([refused.status, refused.body.code, refused.body.errors[0].path]).toEqual([
    400,
    "request.body",
    `/${path}`,
  ]);
});

test("refuses what is no name, no range and no page", async () => {
  const codeOf = async (target: string) => (await reports.get(target)).body.code;
  expect(await codeOf("/v1/reports/joins/No%20Name")).toBe("request.path");
  expect(await codeOf("/v1/reports/joins/never-declared")).toBe("join.unknown");
  expect(await codeOf("/v1/reports/joins/view-cart?limit=1001")).toBe("request.query");
  expect(
    await codeOf("/v1/reports/joins/view-cart?from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z"),
  ).toBe("report.range");
  expect(await codeOf("/v1/reports/joins/view-cart?cursor=x")).toBe("cursor.invalid");
  const put = await client.ask("PUT", "/v1/joins/1st", {
    body: { left: "a", right: "b", within: "1m" },
  });
  expect(put.body.code).toBe("request.path");
});

test("who only reads reports changes no join", async () => {
  const token = await client.token("reports:read");
  const { status, body } = await client.ask("DELETE", "/v1/joins/view-cart", { token });
  expect([status, body.code]).toEqual([403, "token.scope"]);
  expect((await client.get("/v1/joins", { token })).status).toBe(200);
});
