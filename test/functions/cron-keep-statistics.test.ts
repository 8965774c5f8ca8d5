import { expect, test } from "vitest";
import { afterCut } from "../db/await-cut.ts";
import { event, rowsOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";

const db = await testDatabase();
process.env.DATABASE_WORKER_URL = db.workerUrl;
const { handler } = await import("../../functions/cron/keep-statistics.ts");
const worker = testPool(db.workerUrl);
const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };

/** More than the 32 blocks that the index sums up at once. */
const takeInMany = () =>
  takeIn(
    worker,
    Array.from({ length: 3_000 }, () => event({ data: { note: "x".repeat(100) } })),
  );

/** The partitions that hold rows: whether the planner knows them, and how many ranges wait to be summed up. */
async function standing() {
  const rows = await rowsOf(
    db.pool,
    `select
       partition.relname as name,
       partition.reltuples >= 0 as analysed,
       pg_relation_size(partition.oid) / 8192 / 32 as ranges,
       brin.indexrelid as index
     from pg_inherits
     join pg_class as partition on partition.oid = inhrelid
     join pg_index as brin on brin.indrelid = partition.oid
     join pg_class as kind on kind.oid = brin.indexrelid
     where inhparent = 'stream_events'::regclass
       and kind.relam = (select oid from pg_am where amname = 'brin')
       and pg_relation_size(partition.oid) > 0`,
  );
  expect(rows).toHaveLength(1);
  return rows[0] as { analysed: boolean; ranges: number; index: number };
}

test("blocks that have filled are summed up, and a new week is analysed", async () => {
  await takeInMany();
  const before = await standing();
  expect(before.analysed).toBe(false);
  expect(before.ranges).toBeGreaterThan(1);
  await afterCut(db.pool, () => handler({}, context));
  const after = await standing();
  expect(after.analysed).toBe(true);
  for (let range = 0; range < after.ranges; range += 1) {
    const [answer] = await rowsOf(
      db.pool,
      `select brin_summarize_range(${after.index}, ${range * 32}) as done`,
    );
    expect(answer, `range ${range}`).toEqual({ done: 0 });
  }
});

test("a week that is vacuumed just now is not waited for, and its vacuum is not disturbed", async () => {
  await handler({}, context);
  await takeInMany();
  const { ranges, index } = await standing();
  const vacuum = await db.pool.connect();
  await vacuum.query("begin; lock table stream_events in share update exclusive mode");
  await afterCut(db.pool, () => handler({}, context));
  await vacuum.query("rollback");
  vacuum.release();
  expect(
    await rowsOf(db.pool, `select brin_summarize_range(${index}, ${(ranges - 1) * 32}) as done`),
  ).toEqual([{ done: 1 }]);
});
