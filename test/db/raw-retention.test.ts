import {
  advanceRawFrom,
  dropExpiredRaw,
  expireBatches,
  finishWindows,
  inTransaction,
  type Lease,
} from "@headrace/db";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 4);
const FOLLOWER = "some-follower";

let lease: Lease;
beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, dead_letters, open_windows,
       realtime_aggregates, leases`,
  );
  await db.pool.query("update clock set watermark = null, raw_from = '-infinity'");
  const old = await rowsOf(
    db.pool,
    "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'stream_events'::regclass",
  );
  for (const { name } of old) await db.pool.query(`drop table ${name}`);
  lease = await leaseOf(worker, "finish-windows");
});

const keep = (weeks: number | null) =>
  db.pool.query("update settings set raw_retention = make_interval(weeks => $1)", [weeks]);
const weeksAgo = (weeks: number): string =>
  new Date(Date.now() - weeks * 7 * 86_400_000).toISOString();
const partitions = async (): Promise<number> =>
  (await rowsOf(db.pool, "select from pg_inherits where inhparent = 'stream_events'::regclass"))
    .length;
const finish = () => finishWindows(worker, lease, 10_000);
const follow = () =>
  db.pool.query(
    `insert into leases (name, tx_cursor)
     values ($1, (select max(tx) + 1 from stream_batches))
     on conflict (name) do update
     set tx_cursor = excluded.tx_cursor`,
    [FOLLOWER],
  );
const outcomes = async (): Promise<string[]> =>
  (await dropExpiredRaw(worker, [FOLLOWER])).map(({ outcome }) => outcome);

test("a week past its retention goes, the results that it made stay, younger weeks stay", async () => {
  await keep(4);
  await takeIn(worker, [event({ event_time: weeksAgo(8) }), event({ event_time: weeksAgo(1) })]);
  await finish();
  await follow();
  const before = await partitions();
  await advanceRawFrom(worker);
  expect(await outcomes()).toEqual(["dropped"]);
  expect(await partitions()).toBe(before - 1);
  expect(await rowsOf(db.pool, "select count(*)::int as n from stream_events")).toEqual([{ n: 1 }]);
  expect(
    await rowsOf(db.pool, "select count(*)::int as n from realtime_aggregates where size = '1d'"),
  ).toEqual([{ n: 2 }]);
  expect(await expireBatches(worker, lease, 100)).toBe(1);
  expect(await rowsOf(db.pool, "select count(*)::int as n from stream_batches")).toEqual([
    { n: 1 },
  ]);
});

test("without a retention nothing goes", async () => {
  await keep(null);
  await takeIn(worker, [event({ event_time: weeksAgo(300) })]);
  await advanceRawFrom(worker);
  expect(await outcomes()).toEqual([]);
});

test("where raw events begin never goes back", async () => {
  await keep(4);
  await advanceRawFrom(worker);
  const [before] = await rowsOf(db.pool, "select raw_from from clock");
  await keep(40);
  await advanceRawFrom(worker);
  expect(await rowsOf(db.pool, "select raw_from from clock")).toEqual([before]);
});

test("a week waits for the follower and for the finisher that have its events to handle", async () => {
  await keep(4);
  await takeIn(worker, [event({ event_time: weeksAgo(8) })]);
  await advanceRawFrom(worker);
  expect(await outcomes()).toEqual(["wanted"]);
  await finish();
  expect(await outcomes()).toEqual(["wanted"]);
  await follow();
  expect(await outcomes()).toEqual(["dropped"]);
});

test("a week waits for its readers, and nobody waits long behind it", async () => {
  await keep(4);
  await takeIn(worker, [event({ event_time: weeksAgo(8) })]);
  await finish();
  await follow();
  await advanceRawFrom(worker);
  await inTransaction(db.pool, "repeatable read", async (reader) => {
    await reader.query("select count(*) from stream_events");
    expect(await outcomes()).toEqual(["busy"]);
  });
  expect(await outcomes()).toEqual(["dropped"]);
});

test("an event that comes for a week that is gone is a dead letter", async () => {
  await keep(4);
  await takeIn(worker, [event({ event_time: weeksAgo(8) })]);
  await finish();
  await follow();
  await advanceRawFrom(worker);
  await outcomes();
  expect(await takeIn(worker, [event({ event_time: weeksAgo(8) })])).toMatchObject({
    stored: 0,
    deadLetters: 1,
  });
  expect(await rowsOf(db.pool, "select code from dead_letters")).toEqual([
    { code: "event.expired" },
  ]);
});

test("a week that raw_from has not passed is not dropped by mistake", async () => {
  await expect(worker.query("select drop_event_partition('2026-01-05', '{}')")).rejects.toThrow(
    /not past their retention/,
  );
});
