import { type Gap, inTransaction, listOpenGaps, settleWithoutRecords } from "@headrace/db";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { event, isWaiting, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 2);

/** Offsets 1 to 9 of `t`, partition 0, are missing. */
async function gapOfNine(): Promise<Gap> {
  await takeIn(worker, [event()], { topic: "t", offset: 0 });
  await takeIn(worker, [event()], { topic: "t", offset: 10 });
  const [gap] = await listOpenGaps(worker);
  if (gap === undefined) throw new Error("there is no gap");
  return gap;
}
const gaps = async (): Promise<string[]> =>
  (
    await rowsOf(
      db.pool,
      `select concat_ws(' ', from_offset, to_offset, 'next', next_offset, 'lost', lost, 'empty', empty,
         case when closed_at is null then 'open' else 'closed' end) as text
       from stream_gaps order by from_offset`,
    )
  ).map(({ text }) => String(text));

beforeEach(() =>
  db.pool.query(
    "truncate stream_events, stream_batches, stream_progress, stream_gaps, open_windows, leases",
  ),
);

test("what brings no record is counted once, however often it is settled", async () => {
  const gap = await gapOfNine();
  const lease = await leaseOf(worker, "fill-gaps");
  expect(await settleWithoutRecords(worker, lease, gap, "lost", 4)).toBe(3);
  expect(await settleWithoutRecords(worker, lease, gap, "lost", 4)).toBe(0);
  expect(await gaps()).toEqual(["1 10 next 4 lost 3 empty 0 open"]);
  expect(await settleWithoutRecords(worker, lease, gap, "empty", 10)).toBe(6);
  expect(await settleWithoutRecords(worker, lease, gap, "empty", 10)).toBe(0);
  expect(await gaps()).toEqual(["1 10 next 10 lost 3 empty 6 closed"]);
});

test("offsets that a late delivery filled after the gap was listed are not counted as lost", async () => {
  const gap = await gapOfNine();
  const lease = await leaseOf(worker, "fill-gaps");
  await takeIn(worker, [event(), event()], { topic: "t", offset: 4 });
  expect(await settleWithoutRecords(worker, lease, gap, "lost", 10)).toBe(3);
  expect(await gaps()).toEqual([
    "1 4 next 4 lost 3 empty 0 closed",
    "4 6 next 6 lost 0 empty 0 closed",
    "6 10 next 6 lost 0 empty 0 open",
  ]);
});

test("offsets that are missing twice, before and after a topic was made again, are one gap each", async () => {
  await gapOfNine();
  await takeIn(worker, [event()], { topic: "t", offset: 0 });
  await takeIn(worker, [event()], { topic: "t", offset: 12 });
  expect(await gaps()).toEqual([
    "1 10 next 1 lost 0 empty 0 open",
    "10 12 next 10 lost 0 empty 0 open",
  ]);
});

test("offsets are settled under the lock that a batch of their partition takes", async () => {
  const gap = await gapOfNine();
  const lease = await leaseOf(worker, "fill-gaps");
  let settled: Promise<number> | undefined;
  await inTransaction(db.pool, "read committed", async (batch) => {
    await batch.query("select from stream_progress where topic = 't' for update");
    settled = settleWithoutRecords(worker, lease, gap, "lost", 10);
    await expect.poll(() => isWaiting(db.pool), { interval: 10 }).toBe(true);
    expect(await gaps()).toEqual(["1 10 next 1 lost 0 empty 0 open"]);
  });
  expect(await settled).toBe(9);
});

test("a runner that has lost its lease settles nothing", async () => {
  const gap = await gapOfNine();
  const lease = await leaseOf(worker, "fill-gaps");
  await db.pool.query("update leases set expires_at = '-infinity'");
  await leaseOf(worker, "fill-gaps");
  await expect(settleWithoutRecords(worker, lease, gap, "lost", 10)).rejects.toMatchObject({
    code: "lease.lost",
  });
  expect(await gaps()).toEqual(["1 10 next 1 lost 0 empty 0 open"]);
});
