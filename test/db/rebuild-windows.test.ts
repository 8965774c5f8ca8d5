import { finishWindows, hasUnfinishedWindows, type Lease, rebuildWindows } from "@headrace/db";
import { auditWindows } from "@headrace/reports";
import { WINDOW_SIZES } from "@headrace/windows";
import { beforeEach, describe, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { oraclePool } from "../support/recompute.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 4);
const oracle = oraclePool(db.ownerUrl);

const DAY = {
  fromMicros: Date.UTC(2026, 0, 1) * 1000,
  toMicros: Date.UTC(2026, 0, 2) * 1000,
};

let lease: Lease;
beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, open_windows, realtime_aggregates, leases`,
  );
  await db.pool.query("update clock set watermark = '2026-01-02', raw_from = '-infinity'");
  await db.pool.query(
    "update settings set window_10s_retention = null, window_1m_retention = null",
  );
  lease = await leaseOf(worker, "finish-windows");
});

const at = (time: string, more = {}) => event({ event_time: `2026-01-01T${time}Z`, ...more });
const finish = async (): Promise<void> => {
  while (await hasUnfinishedWindows(worker)) await finishWindows(worker, lease, 10_000);
};
const rebuild = (range = DAY): Promise<number> => rebuildWindows(worker, range, () => {});
const differences = async (): Promise<string[]> =>
  (await auditWindows(oracle, DAY, WINDOW_SIZES, 100))
    .flatMap((audited) => audited.differences)
    .map(({ what, key }) => `${what} ${key}`);

const history = [
  at("10:00:01", { value: 1.5, user_id: "u1" }),
  at("10:00:02", { value: -2, user_id: "u2", amount: "3.10", event_type: "purchase" }),
  at("10:20:00", { value: 7, duration: 4 }),
  at("23:59:59", { user_id: "u3" }),
];

describe.each([
  ["a count that was changed", "update realtime_aggregates set event_count = event_count + 1"],
  ["revenue that was changed", "update realtime_aggregates set revenue = revenue + 1"],
  ["rows that are gone", "delete from realtime_aggregates"],
  [
    "rows that nothing stands for",
    `insert into realtime_aggregates
     select size, window_start + interval '1 hour', window_end + interval '1 hour', event_type,
       event_count, value_count, value_sum, value_mean, value_min, value_max, value_stddev, value_p50,
       value_p95, value_p99, distinct_users, revenue, duration_mean, late_events, final, revision, state
     from realtime_aggregates
     where size <> '1d'
       and window_start < '2026-01-01T11:00:00Z'`,
  ],
])("%s", (_name, damage) => {
  test("is found by an audit and put right by a rebuild", async () => {
    await takeIn(worker, history);
    await finish();
    expect(await differences()).toEqual([]);
    await db.pool.query(damage);
    expect(await differences()).not.toEqual([]);
    expect(await rebuild()).toBeGreaterThan(0);
    expect(await differences()).toEqual([]);
    expect(await rebuild()).toBe(0);
  });
});

test("what is right is not touched: no row is written", async () => {
  await takeIn(worker, history);
  await finish();
  const versions = () =>
    rowsOf(
      db.pool,
      "select size, window_start, event_type, xmin from realtime_aggregates order by 1, 2, 3",
    );
  const before = await versions();
  expect(await rebuild()).toBe(0);
  expect(await versions()).toEqual(before);
});

test("a changed row of a window that has ended is a revision of it", async () => {
  await takeIn(worker, history);
  await finish();
  await db.pool.query("update realtime_aggregates set event_count = 9 where size = '10s'");
  await rebuild();
  const revisions = await rowsOf(
    db.pool,
    "select size, min(revision) as least, max(revision) as most from realtime_aggregates group by 1 order by 1",
  );
  expect(revisions).toEqual([
    { size: "10s", least: 1, most: 1 },
    { size: "1d", least: 0, most: 0 },
    { size: "1h", least: 0, most: 0 },
    { size: "1m", least: 0, most: 0 },
  ]);
});

test("an hour that has lost its state gets it back, and its day loses nothing", async () => {
  await takeIn(worker, history);
  await finish();
  await db.pool.query("update realtime_aggregates set state = null where size = '1h'");
  expect(await rebuild()).toBeGreaterThan(0);
  expect(await differences()).toEqual([]);
  expect(
    await rowsOf(db.pool, "select from realtime_aggregates where size = '1h' and state is null"),
  ).toEqual([]);
});

test("states that are still open count once, in the rows of their day too", async () => {
  await takeIn(worker, history);
  await finish();
  await takeIn(worker, [at("10:00:05", { value: 3 }), at("18:00:00")]);
  await db.pool.query("update realtime_aggregates set event_count = 9 where size = '10s'");
  await rebuild();
  expect(await differences()).toEqual([]);
  await finish();
  expect(await differences()).toEqual([]);
});

test("at every step of a rebuild only what was wrong is wrong", async () => {
  await takeIn(worker, history);
  await finish();
  await takeIn(worker, [at("10:30:00"), at("12:00:00")]);
  await db.pool.query(
    "update realtime_aggregates set event_count = 9 where size = '10s' and window_start = '2026-01-01T10:20:00Z'",
  );
  const wrong = await differences();
  const seen: Promise<string[]>[] = [];
  await rebuildWindows(worker, DAY, () => seen.push(differences()));
  for (const found of await Promise.all(seen)) {
    expect(found.filter((it) => !wrong.includes(it))).toEqual([]);
  }
  expect(await differences()).toEqual([]);
});

test("days before raw events begin are left as they are", async () => {
  await takeIn(worker, history);
  await finish();
  await db.pool.query("update realtime_aggregates set event_count = 9");
  await db.pool.query("update clock set raw_from = '2026-01-05'");
  expect(await rebuild()).toBe(0);
});
