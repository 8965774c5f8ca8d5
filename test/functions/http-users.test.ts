import {
  finishSessions,
  inTransaction,
  type Lease,
  openPart,
  SESSIONS_FOLLOWER,
} from "@headrace/db";
import { readUserEvents } from "@headrace/reports";
import { beforeEach, describe, expect, test } from "vitest";
import { leaseOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
process.env.DATABASE_WORKER_URL = db.workerUrl;
const client = await httpClient(await import("../../functions/http/users.ts"), [
  "users:read",
  "admin",
]);
const worker = testPool(db.workerUrl);
const DAY = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
const NOON = "2026-01-01T12:00:00Z";

let sessions: Lease;
beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, open_windows, leases, dim_users,
       kept_sessions, session_hours, session_spread, active_users, active_days, erased_users, erasures;
     update clock set raw_from = '-infinity'`,
  );
  sessions = await leaseOf(worker, SESSIONS_FOLLOWER);
});

let made = 0;
const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const at = (time: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  event_id: id(++made),
  event_time: `2026-01-01T${time}Z`,
  event_type: "page_view",
  user_id: "u1",
  ...more,
});
/** Until nothing is open: other tests' transactions on this server may hold the cut back a while. */
async function finish(): Promise<void> {
  while ((await openPart(worker, SESSIONS_FOLLOWER)).rows > 0) {
    await finishSessions(worker, sessions, 1_000_000);
  }
}

describe("features", () => {
  const featuresOf = async (query: string, user = "u1") => {
    const { body } = await client.get(`/v1/users/${user}/features?${query}`);
    return Object.fromEntries(
      body.features.map((it: { name: string; value: unknown }) => [it.name, it.value]),
    );
  };

  test("are the whole vector, with names, order and units", async () => {
    await takeIn(worker, [
      at("11:10:00", { value: 3 }),
      at("11:50:00", { event_type: "add_to_cart", value: 1.5 }),
      at("11:59:00", { event_type: "purchase", user_id: "u2", value: 99 }),
    ]);
    const { status, body } = await client.get(`/v1/users/u1/features?window=60m&at=${NOON}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      user_id: "u1",
      at: NOON,
      from: "2026-01-01T11:00:00Z",
      features: [
        { name: "event_count", value: 2, unit: "events" },
        { name: "distinct_types", value: 2, unit: "types" },
        { name: "value_total", value: 4.5, unit: "value" },
        { name: "value_mean", value: 2.25, unit: "value" },
        { name: "value_max", value: 3, unit: "value" },
        { name: "session_count", value: 2, unit: "sessions" },
        { name: "added_to_cart", value: 1, unit: "flag" },
        { name: "viewed_cart", value: 0, unit: "flag" },
        { name: "checkout", value: 0, unit: "flag" },
        { name: "payment", value: 0, unit: "flag" },
        { name: "bought", value: 0, unit: "flag" },
      ],
    });
  });

  test("read no event after `at`, and by default end now", async () => {
    await takeIn(worker, [at("12:00:00"), at("12:00:00.000001")]);
    expect(await featuresOf(`at=${NOON}`)).toMatchObject({ event_count: 1 });
    await takeIn(worker, [{ ...at(""), event_time: new Date().toISOString() }]);
    expect(await featuresOf("window=1m")).toMatchObject({ event_count: 1 });
  });

  test("a running session counts from its start, over days and thousands of events", async () => {
    const run = Array.from({ length: 6_000 }, (_, n) =>
      at("", { event_time: new Date(Date.parse(NOON) - n * 60_000).toISOString() }),
    );
    const first = new Date(Date.parse(NOON) - 6_029 * 60_000).toISOString();
    const before = new Date(Date.parse(NOON) - 6_060 * 60_000).toISOString();
    await takeIn(worker, [
      ...run,
      at("", { event_time: first, event_type: "cart" }),
      at("", { event_time: before, event_type: "purchase" }),
    ]);
    expect(await featuresOf(`window=1m&at=${NOON}`)).toMatchObject({
      event_count: 1,
      viewed_cart: 1,
      bought: 0,
    });
  });

  test("six thousand events of one microsecond are all counted", async () => {
    await takeIn(
      worker,
      Array.from({ length: 6_000 }, () => at("12:00:00", { value: 1 })),
    );
    expect(await featuresOf(`at=${NOON}`)).toMatchObject({ event_count: 6000, value_total: 6000 });
  });

  test("a user nobody has heard of has features of nothing", async () => {
    expect(await featuresOf(`at=${NOON}`, "nobody")).toMatchObject({
      event_count: 0,
      value_mean: null,
    });
  });

  test("a time from which events are not kept any more is refused", async () => {
    await db.pool.query("update clock set raw_from = '2026-01-01T11:30:00Z'");
    const { status, body } = await client.get(`/v1/users/u1/features?at=${NOON}`);
    expect([status, body.code]).toEqual([400, "report.expired"]);
  });

  test.each([
    ["window=0", "/window"],
    ["window=0m", "/window"],
    ["window=59s", "/window"],
    ["window=2d", "/window"],
    ["window=60", "/window"],
    ["at=tomorrow", "/at"],
    ["since=1h", "/since"],
  ])("refuses ?%s", async (query, path) => {
    const { status, body } = await client.get(`/v1/users/u1/features?${query}`);
    expect([status, body.code, body.errors[0].path]).toEqual([400, "request.query", path]);
  });

  test("a moment far ahead is refused: what happens until then would change the answer", async () => {
    const { status, body } = await client.get("/v1/users/u1/features?at=2200-01-01T00:00:00Z");
    expect([status, body.code, body.errors[0].path]).toEqual([400, "report.future", "/at"]);
  });
});

describe("events", () => {
  test("are the user's own, newest first, with all their fields", async () => {
    const full = at("10:00:00.123456", {
      session_id: "s",
      value: -1.5,
      amount: "12.30",
      duration: 2.5,
      category: "toys",
      product_id: "p",
      region: "eu",
      data: { big: 1, text: "ü" },
    });
    await takeIn(worker, [full, at("11:00:00"), at("10:30:00", { user_id: "u2" })], {
      timestampMillis: Date.parse("2026-01-01T12:00:00Z"),
    });
    const { status, body } = await client.get(`/v1/users/u1/events?${DAY}`);
    expect(status).toBe(200);
    expect(body.next_cursor).toBe(null);
    expect(body.events).toEqual([
      expect.objectContaining({
        event_time: "2026-01-01T11:00:00Z",
        session_id: null,
        value: null,
        amount: null,
        duration: null,
        data: null,
      }),
      { ...full, received_at: "2026-01-01T12:00:00Z" },
    ]);
  });

  test("a number in data keeps the digits that a double has not", async () => {
    const data = '{"n": 12345678901234567890, "x": 1.5}';
    await takeIn(worker, [at("10:00:00")]);
    await db.pool.query("update stream_events set data = $1", [data]);
    const { events } = await readUserEvents(db.pool, {
      userId: "u1",
      fromMicros: 0,
      toMicros: Date.now() * 1000,
      after: undefined,
      limit: 1,
    });
    expect(JSON.stringify(events[0]?.data)).toBe('{"n":12345678901234567890,"x":1.5}');
  });

  test("pages go on by time and id, also among events of one time", async () => {
    const many = Array.from({ length: 7 }, () => at("10:00:00"));
    await takeIn(worker, [...many, at("09:00:00"), at("10:00:00.000001")]);
    const seen: string[] = [];
    let cursor = "";
    for (let pages = 0; pages < 10; pages += 1) {
      const { body } = await client.get(`/v1/users/u1/events?${DAY}&limit=2${cursor}`);
      seen.push(...body.events.map((it: { event_id: string }) => it.event_id));
      if (body.next_cursor === null) break;
      cursor = `&cursor=${body.next_cursor}`;
    }
    const ids = many.map((it) => it.event_id).reverse();
    expect(seen).toEqual([id(made), ...ids, id(made - 1)]);
  });

  test("without a range the last 30 days are listed, and pages keep to them", async () => {
    const ago = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();
    await takeIn(worker, [
      at("", { event_time: ago(1) }),
      at("", { event_time: ago(29) }),
      at("", { event_time: ago(31) }),
    ]);
    const first = await client.get("/v1/users/u1/events?limit=1");
    const second = await client.get(`/v1/users/u1/events?limit=1&cursor=${first.body.next_cursor}`);
    expect([first.body.events.length, second.body.events.length]).toEqual([1, 1]);
    expect(second.body.next_cursor).toBe(null);
  });

  test.each([
    ["from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range"],
    ["from=2010-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range"],
    ["limit=0", "request.query"],
    ["limit=1001", "request.query"],
    ["cursor=garbage", "cursor.invalid"],
    ["cursor=", "cursor.invalid"],
  ])("refuses ?%s", async (query, code) => {
    const { status, body } = await client.get(`/v1/users/u1/events?${query}`);
    expect([status, body.code]).toEqual([400, code]);
  });

  test("a cursor is a place in time, whoever the events belong to", async () => {
    await takeIn(worker, [at("10:00:00"), at("10:00:01")]);
    const { body } = await client.get(`/v1/users/u1/events?${DAY}&limit=1`);
    const other = await client.get(`/v1/users/u2/events?${DAY}&limit=1&cursor=${body.next_cursor}`);
    expect([other.status, other.body.events]).toEqual([200, []]);
  });
});

describe("profile", () => {
  const profile = async (user = "u1") => (await client.get(`/v1/users/${user}/profile`)).body;
  const visits = [
    at("10:00:00", { category: "toys" }),
    at("10:10:00", { category: "books" }),
    at("12:00:00", { category: "books" }),
    at("12:00:00", { category: "art" }),
    at("12:30:00", { category: "toys" }),
  ];

  test("tells of sessions and favourite categories, finished or not", async () => {
    const expected = {
      user_id: "u1",
      last_active: "2026-01-01T12:30:00Z",
      total_events: 5,
      sessions: 2,
      mean_session_duration_seconds: 1200,
      favourite_categories: ["books", "toys", "art"],
      purchase_probability: null,
    };
    await takeIn(worker, visits.slice(0, 3));
    await finish();
    await takeIn(worker, visits.slice(3));
    expect(await profile()).toEqual(expected);
    await finish();
    expect(await profile()).toEqual(expected);
    const { rows } = await inTransaction(db.pool, "repeatable read", (moment) =>
      moment.query("select * from realtime_user_profiles where user_id = 'u1'"),
    );
    expect(rows).toEqual([{ ...expected, last_active: Date.parse("2026-01-01T12:30:00Z") * 1000 }]);
  });

  test("an event that joins two sessions changes both their counts and their mean", async () => {
    await takeIn(worker, [at("10:00:00"), at("11:00:00")]);
    await finish();
    await takeIn(worker, [at("10:30:00")]);
    expect(await profile()).toMatchObject({
      sessions: 1,
      total_events: 3,
      mean_session_duration_seconds: 3600,
    });
  });

  test("names ten categories at most, ties by name", async () => {
    const names = Array.from({ length: 12 }, (_, n) => `c${String(n).padStart(2, "0")}`);
    await takeIn(
      worker,
      names.toReversed().map((category) => at("10:00:00", { category })),
    );
    expect((await profile()).favourite_categories).toEqual(names.slice(0, 10));
  });

  test("of one who is only known by name holds nothing, and of nobody is 404", async () => {
    await db.pool.query("insert into dim_users (user_id, name) values ('named', 'Ada')");
    expect(await profile("named")).toMatchObject({
      last_active: null,
      total_events: 0,
      mean_session_duration_seconds: null,
      favourite_categories: [],
    });
    const { status, body } = await client.get("/v1/users/nobody/profile");
    expect([status, body.code]).toEqual([404, "user.unknown"]);
  });
});

describe("the id in the path", () => {
  test.each([
    ["with/slash", "with%2Fslash"],
    ["100%", "100%25"],
    ["ünï code", "%C3%BCn%C3%AF%20code"],
    ["a+b", "a+b"],
  ])("%s is read from %s", async (user, path) => {
    await takeIn(worker, [at("10:00:00", { user_id: user })]);
    const { status, body } = await client.get(`/v1/users/${path}/profile`);
    expect([status, body.user_id, body.total_events]).toEqual([200, user, 1]);
  });

  test.each([
    ["x".repeat(200), "request.path"],
    ["%zz", "request.path"],
    ["%00", "request.path"],
  ])("%s is refused", async (path, code) => {
    for (const route of ["profile", "features", "events"]) {
      const { status, body } = await client.get(`/v1/users/${path}/${route}`);
      expect([status, body.code]).toEqual([400, code]);
    }
    const { status } = await client.ask("DELETE", `/v1/users/${path}`);
    expect(status).toBe(400);
  });
});

describe("erasing", () => {
  test("is accepted with a job that may be asked for", async () => {
    const { status, body } = await client.ask("DELETE", "/v1/users/u%2F1");
    expect(status).toBe(202);
    expect(body).toMatchObject({ state: "waiting", finished_at: null, events: 0 });
    expect(JSON.stringify(body)).not.toContain("u/1");
    const job = await client.get(`/v1/erasures/${body.job_id}`);
    expect([job.status, job.body]).toEqual([200, body]);
    const again = await client.ask("DELETE", "/v1/users/u%2F1");
    expect([again.status, again.body.job_id]).toEqual([202, body.job_id]);
  });

  test("needs scope admin, and a job that exists", async () => {
    const token = await client.token("users:read");
    const { status, body } = await client.ask("DELETE", "/v1/users/u1", { token });
    expect([status, body.code]).toEqual([403, "token.scope"]);
    const unknown = await client.get(`/v1/erasures/${id(1)}`);
    expect([unknown.status, unknown.body.code]).toEqual([404, "erasure.unknown"]);
    const broken = await client.get("/v1/erasures/nothing");
    expect([broken.status, broken.body.code]).toEqual([400, "request.path"]);
  });

  test("users are nobody's business without scope users:read", async () => {
    const token = await client.token("reports:read");
    for (const path of ["profile", "features", "events"]) {
      const { status } = await client.get(`/v1/users/u1/${path}`, { token });
      expect(status).toBe(403);
    }
  });
});
