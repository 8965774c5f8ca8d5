/** Batches that hold the same events in opposite order may wait for each other; PostgreSQL ends one. */
import pg from "pg";
import { expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { differences, oraclePool } from "../support/recompute.ts";
import { event, isWaiting, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
// Looked at once, so long after the wait began that the other has closed the circle by then; the
// other looks later, so that it is not the one that ends.
await db.pool.query(
  `alter role headrace_worker in database ${db.name} set deadlock_timeout = '700ms'`,
);
await db.pool.query(
  "update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null",
);
const worker = testPool(db.workerUrl, 1);
const oracle = oraclePool(db.ownerUrl);

const INSERT = `insert into stream_events
  (event_id, event_time, event_type, user_id, topic, partition, record_offset, record_time, late_class)
  values ($1, $2, 'page_view', 'u1', 'other', 0, 0, $2, 0)`;

test("a batch that PostgreSQL ends to undo a deadlock is taken in by itself", async () => {
  const [first, second] = [event(), event()];
  await takeIn(worker, [event()], { topic: "t", offset: 0 });
  const other = new pg.Client({ connectionString: db.ownerUrl });
  await other.connect();
  try {
    await other.query("begin");
    await other.query("set local deadlock_timeout = '60s'");
    await other.query(INSERT, [second.event_id, second.event_time]);
    const taken = takeIn(worker, [first, second], { topic: "t", offset: 1 });
    await expect.poll(() => isWaiting(db.pool), { timeout: 10_000, interval: 10 }).toBe(true);
    // Goes on only because the batch was ended: it holds this one, and waits for the other.
    await other.query(INSERT, [first.event_id, first.event_time]);
    await other.query("rollback");
    expect(await taken).toMatchObject({ stored: 2, duplicates: 0 });
  } finally {
    await other.end();
  }
  expect(await differences(oracle)).toEqual([]);
});
