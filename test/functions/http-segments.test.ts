import {
  addSegmentEvents,
  followGroupChanges,
  inTransaction,
  type Lease,
  releaseLease,
  SEGMENTS_FOLLOWER,
  takeLease,
} from "@headrace/db";
import { beforeEach, expect, test } from "vitest";
import { awaitCut } from "../db/await-cut.ts";
import { event, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
const worker = testPool(db.workerUrl);
const reports = await httpClient(await import("../../functions/http/reports.ts"), ["reports:read"]);
const dimensions = await httpClient(await import("../../functions/http/dimensions.ts"), ["admin"]);
const { cron, handler: refresh } = await import("../../functions/cron/refresh-segments.ts");
const CONTEXT = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
const RANGE = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";

beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, segment_windows, segment_moves,
       segment_deltas, user_segments, product_categories, dim_users, dim_products`,
  );
});

const at = (time: string, more: Record<string, unknown> = {}) =>
  event({ event_time: `2026-01-01T${time}Z`, ...more });
const ask = async (query: string) => (await reports.get(`/v1/reports/segments?${query}`)).body;
const follow = async () => {
  await awaitCut(worker);
  expect(await refresh({}, CONTEXT)).toEqual({ ran: true });
};
const putUser = (id: string, segment: string) =>
  dimensions.ask("PUT", `/v1/users/${id}`, { body: { name: id, segment } });
const putProduct = (id: string, category: string) =>
  dimensions.ask("PUT", `/v1/products/${id}`, { body: { name: id, category, price: 1 } });

const EVENTS = [
  at("10:00:00", { user_id: "a", value: 0.1 }),
  at("10:30:00", { user_id: "a", value: 0.2, product_id: "shoe" }),
  at("10:59:59.999999", { user_id: "b", product_id: "sock" }),
  at("11:00:00", { user_id: "c", event_type: "purchase", amount: "9.99", product_id: "shoe" }),
  at("12:00:00", { user_id: "a", event_type: "purchase", amount: "0.01", product_id: "shoe" }),
];

test("tells of each segment's users by hour and day, open and finished alike", async () => {
  await putUser("a", "gold");
  await putUser("b", "gold");
  await follow();
  await takeIn(worker, EVENTS);
  const row = (time: string, group: string | null, type: string, figures: object) => ({
    window_start: `2026-01-01T${time}:00:00Z`,
    group,
    event_type: type,
    value_sum: null,
    revenue: "0.00",
    ...figures,
  });
  const hours = [
    row("10", "gold", "page_view", { event_count: 3, distinct_users: 2, value_sum: 0.3 }),
    row("11", null, "purchase", { event_count: 1, distinct_users: 1, revenue: "9.99" }),
    row("12", "gold", "purchase", { event_count: 1, distinct_users: 1, revenue: "0.01" }),
  ];
  const days = [
    row("00", null, "purchase", { event_count: 1, distinct_users: 1, revenue: "9.99" }),
    row("00", "gold", "page_view", { event_count: 3, distinct_users: 2, value_sum: 0.3 }),
    row("00", "gold", "purchase", { event_count: 1, distinct_users: 1, revenue: "0.01" }),
  ];
  for (const isFollowed of [false, true]) {
    if (isFollowed) await follow();
    expect(await ask(`by=segment&size=1h&${RANGE}`)).toEqual({
      segments: hours,
      next_cursor: null,
    });
    expect((await ask(`by=segment&size=1d&${RANGE}`)).segments).toEqual(days);
    expect((await ask(`by=segment&size=1d&${RANGE}&event_type=page_view`)).segments).toEqual([
      days[1],
    ]);
  }
});

test("a change of a dimension moves all that its user or product has done, at once", async () => {
  await takeIn(worker, EVENTS);
  await follow();
  const groups = async (by: string) =>
    (await ask(`by=${by}&size=1d&${RANGE}`)).segments.map(
      (row: { group: string | null; event_type: string; distinct_users: number }) =>
        `${row.group} ${row.event_type} ${row.distinct_users}`,
    );
  expect(await groups("segment")).toEqual(["null page_view 2", "null purchase 2"]);
  await putUser("a", "gold");
  await putProduct("shoe", "shoes");
  await follow();
  expect(await groups("segment")).toEqual([
    "null page_view 1",
    "null purchase 1",
    "gold page_view 1",
    "gold purchase 1",
  ]);
  expect(await groups("category")).toEqual([
    "null page_view 2",
    "shoes page_view 1",
    "shoes purchase 2",
  ]);
  await putProduct("sock", "shoes");
  await follow();
  expect(await groups("category")).toEqual([
    "null page_view 1",
    "shoes page_view 2",
    "shoes purchase 2",
  ]);
});

test("a change that touches 10,000 events is followed in one transaction, and one of 10,001 in slices", async () => {
  for (let batch = 0; batch < 4; batch += 1) {
    const events = Array.from({ length: 2500 }, (_, n) =>
      at(`${String((batch * 2500 + n) % 24).padStart(2, "0")}:00:00`, { user_id: "busy" }),
    );
    await takeIn(worker, events);
  }
  await follow();
  const seen = async () =>
    (await ask(`by=segment&size=1d&${RANGE}`)).segments.map(
      ({ group, event_count }: { group: string; event_count: number }) => [group, event_count],
    );
  await putUser("busy", "gold");
  await awaitCut(worker);
  const lease = (await takeLease(worker, cron.name, "test", 60)) as Lease;
  await followGroupChanges(worker, lease, "segment", { events: 10_000, keys: 10 });
  await releaseLease(worker, lease);
  expect(await seen()).toEqual([["gold", 10_000]]);
  await takeIn(worker, [at("10:00:00", { user_id: "busy" })]);
  await follow();
  await putUser("busy", "lost");
  await follow();
  expect(await seen()).toEqual([["lost", 10_001]]);
  const { rows } = await db.pool.query(
    "select (select count(*) from segment_moves) + (select count(*) from segment_deltas) as left",
  );
  expect(rows).toEqual([{ left: 0 }]);
});

test("windows of 10 s and a minute are made from raw events, with the groups that are counted", async () => {
  await putUser("a", "gold");
  await follow();
  await takeIn(worker, EVENTS);
  await putUser("b", "gold");
  const range = "from=2026-01-01T10:00:00Z&to=2026-01-01T11:00:00Z";
  expect(
    (await ask(`by=segment&size=1m&${range}`)).segments.map(
      (row: Record<string, unknown>) => `${row.window_start} ${row.group} ${row.event_count}`,
    ),
  ).toEqual([
    "2026-01-01T10:00:00Z gold 1",
    "2026-01-01T10:30:00Z gold 1",
    "2026-01-01T10:59:00Z null 1",
  ]);
  expect((await ask(`by=segment&size=10s&${range}`)).segments[2].window_start).toBe(
    "2026-01-01T10:59:50Z",
  );
});

test("pages follow one another without a gap, whatever is followed between them", async () => {
  await takeIn(worker, EVENTS);
  await putUser("a", "gold");
  const whole = (await ask(`by=category&size=1h&${RANGE}`)).segments;
  const pages: unknown[] = [];
  let cursor = "";
  do {
    const page = await ask(`by=category&size=1h&${RANGE}&limit=1${cursor}`);
    pages.push(...page.segments);
    cursor = page.next_cursor === null ? "" : `&cursor=${page.next_cursor}`;
    await follow();
  } while (cursor !== "");
  expect(pages).toEqual(whole);
});

test("one user with a hundred thousand events of a day does not hold a slice up", async () => {
  await takeIn(worker, EVENTS.slice(0, 1));
  await db.pool.query(
    `with stored as (
       insert into stream_events (event_id, event_time, event_type, user_id, topic, partition, record_offset, record_time, late_class)
       select gen_random_uuid(), timestamptz '2026-01-01T10:00:00Z' + n * interval '10 ms', 'page_view', 'a', 'events', 0, n, now(), 0
       from generate_series(1, 100000) n
       returning event_time
     )
     insert into stream_batches (gap_id, week, topic, partition, batch_number, first_offset, last_offset, rows, least_time, greatest_time)
     select 0, '2025-12-29', 'events', 0, 2, 1, 100000, count(*), min(event_time), max(event_time)
     from stored`,
  );
  await follow();
  await takeIn(worker, [at("10:10:00", { user_id: "a" })]);
  await follow();
  expect((await ask(`by=segment&size=1d&${RANGE}`)).segments).toMatchObject([
    { event_count: 100_002, distinct_users: 1 },
  ]);
});

test("a change during a report's snapshot shows in none of it", async () => {
  await takeIn(worker, EVENTS);
  await follow();
  const { readSegments } = await import("@headrace/reports");
  const reader = testPool(db.reportsUrl);
  const query = {
    by: "segment" as const,
    size: "1d" as const,
    eventType: null,
    fromMicros: Date.UTC(2026, 0, 1) * 1000,
    toMicros: Date.UTC(2026, 0, 2) * 1000,
    after: undefined,
    limit: 100,
  };
  await inTransaction(reader, "repeatable read", async (moment) => {
    const sql = {
      query: moment.query.bind(moment),
      snapshot: (work: (sql: typeof moment) => Promise<never>) => work(moment),
    } as Parameters<typeof readSegments>[0];
    const before = await readSegments(sql, query);
    await putUser("a", "gold");
    await follow();
    expect(await readSegments(sql, query)).toEqual(before);
  });
  expect((await ask(`by=segment&size=1d&${RANGE}`)).segments).toHaveLength(4);
});

test("who has lost the lease changes nothing", async () => {
  await takeIn(worker, EVENTS);
  const stale = (await takeLease(worker, cron.name, "stale", -1)) as Lease;
  await takeLease(worker, cron.name, "other", -1);
  await expect(addSegmentEvents(worker, stale, 10)).rejects.toMatchObject({ code: "lease.lost" });
  expect(cron.name).toBe(SEGMENTS_FOLLOWER);
});

test.each([
  ["by=shoe_size&size=1h", "request.query", "/by"],
  ["size=1h", "request.query", "/by"],
  ["by=segment&size=5m", "request.query", "/size"],
  ["by=segment&size=1h&event_type=Page%20View", "request.query", "/event_type"],
  ["by=segment&size=1h&limit=1001", "request.query", "/limit"],
  [
    "by=segment&size=10s&from=2026-01-01T10:00:00Z&to=2026-01-01T12:00:00Z",
    "report.range",
    "/from",
  ],
  [
    "by=category&size=1m&from=2026-01-01T10:00:00Z&to=2026-01-01T11:00:01Z",
    "report.range",
    "/from",
  ],
  ["by=segment&size=1h&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/to"],
  ["by=segment&size=1h&cursor=nonsense", "cursor.invalid", "/cursor"],
])("refuses ?%s", async (query, code, path) => {
  const { status, body } = await reports.get(`/v1/reports/segments?${query}`);
  expect([status, body.code, body.errors[0].path]).toEqual([400, code, path]);
});

test("a type that nobody has sent is an empty list", async () => {
  expect(await ask(`by=segment&size=1h&event_type=never&${RANGE}`)).toEqual({
    segments: [],
    next_cursor: null,
  });
});
