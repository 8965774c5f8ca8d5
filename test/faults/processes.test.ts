/**
 * Processes that are stopped or killed for real while they hold a transaction: nothing is lost or
 * counted twice, and others wait no longer than the role's timeouts.
 */
import { createPool, endOverdueTransactions } from "@headrace/db";
import type { Client } from "pg";
import pg from "pg";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { IngestProcess } from "../support/faults-process.ts";
import { kafkaEvent, kafkaRecord, type LambdaKafkaEvent } from "../support/kafka.ts";
import { differences, oraclePool } from "../support/recompute.ts";

const db = await testDatabase();
const oracle = oraclePool(db.ownerUrl);
await db.pool.query(
  "update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null",
);
const TAKEN = { batchItemFailures: [] };

beforeEach(async () => {
  await db.pool.query(
    "truncate stream_events, stream_batches, stream_progress, open_windows, realtime_aggregates",
  );
});

let ids = 0;
function batch(partition: number, firstOffset: number, count: number, note = ""): LambdaKafkaEvent {
  const records = Array.from({ length: count }, (_, n) => {
    ids += 1;
    return kafkaRecord(
      {
        event_id: `00000000-0000-4000-8000-${String(ids).padStart(12, "0")}`,
        event_time: new Date(Date.UTC(2026, 0, 1) + n * 50).toISOString(),
        event_type: "page_view",
        user_id: `u${n % 7}`,
        value: n,
        data: { note },
      },
      { timestampMillis: Date.UTC(2026, 0, 2) },
    );
  });
  return kafkaEvent("t", { [partition]: records }, { offsets: { [partition]: firstOffset } });
}

const progress = async (): Promise<string[]> =>
  (
    await oracle.query<Record<string, unknown>>(
      "select partition, next_offset, events, duplicates from stream_progress order by 1",
    )
  ).rows.map((row) => Object.values(row).join(" "));

/** Holds a lock on a table that ingest needs, until the work is done. */
async function holding(table: string, work: (holder: Client) => Promise<void>): Promise<void> {
  const holder = new pg.Client({ connectionString: db.ownerUrl });
  await holder.connect();
  try {
    await holder.query("begin");
    await holder.query(`lock table ${table} in exclusive mode`);
    await work(holder);
    await holder.query("commit");
  } finally {
    await holder.end();
  }
}

/** Waits until as many sessions of the worker's wait for a lock. */
async function untilWaiting(count: number): Promise<void> {
  await expect
    .poll(async () => {
      const { rows } = await oracle.query<{ waiting: number }>(
        `select count(*) as waiting
         from pg_stat_activity
         where datname = current_database()
           and usename = 'headrace_worker'
           and wait_event_type = 'Lock'`,
      );
      return rows[0]?.waiting;
    }, POLL)
    .toBe(count);
}

const POLL = { timeout: 15_000, interval: 20 };

/** Two processes that have met the partitions' types and weeks. */
async function twoProcesses(): Promise<readonly [IngestProcess, IngestProcess]> {
  const processes = await Promise.all([
    IngestProcess.start(db.workerUrl),
    IngestProcess.start(db.workerUrl),
  ]);
  const [one, other] = processes;
  expect(await one.ingest(batch(0, 0, 5))).toEqual(TAKEN);
  expect(await other.ingest(batch(1, 0, 5))).toEqual(TAKEN);
  return [one, other];
}

test("a process stopped inside its transaction blocks its partition for 3 s, and counts nothing once it goes on", async () => {
  const [one, other] = await twoProcesses();
  const given = batch(0, 5, 50);
  let answer: Promise<unknown> | undefined;
  await holding("open_windows", async () => {
    answer = one.ingest(given);
    // Its rows are written and it holds the partition; the last steps wait.
    await untilWaiting(1);
    one.stop();
  });
  expect(await other.ingest(batch(1, 5, 20))).toEqual(TAKEN);
  const stoppedAt = performance.now();
  expect(await other.ingest(given)).toEqual(TAKEN);
  expect(performance.now() - stoppedAt).toBeLessThan(5_000);
  expect(await progress()).toEqual(["0 55 55 0", "1 25 25 0"]);

  one.goOn();
  expect(await answer).toMatchObject({ batchItemFailures: { length: 50 } });
  expect(await progress()).toEqual(["0 55 55 0", "1 25 25 0"]);
  expect(await one.ingest(given)).toEqual(TAKEN);
  expect(await progress()).toEqual(["0 55 55 0", "1 25 25 0"]);
  expect(await differences(oracle)).toEqual([]);
}, 30_000);

test("a process stopped in the middle of a COPY blocks its partition until a cron ends its session", async () => {
  // The role's own 10 s would only make this slower.
  await db.pool.query(
    `alter role headrace_worker in database ${db.name} set transaction_timeout = '3s'`,
  );
  const [one, other] = await twoProcesses();
  // More than the sockets between the two hold.
  const given = batch(0, 5, 4_000, "x".repeat(4_000));
  let answer: Promise<unknown> | undefined;
  await holding("stream_events_20251229", async () => {
    answer = one.ingest(given);
    await untilWaiting(1);
    one.stop();
  });
  await expect
    .poll(async () => {
      const { rows } = await oracle.query<{ waits: string | null }>(
        `select wait_event as waits
         from pg_stat_activity
         where datname = current_database()
           and query like 'copy stream_events%'
           and state = 'active'`,
      );
      return rows[0]?.waits;
    }, POLL)
    .toBe("ClientRead");
  expect(await other.ingest(batch(1, 5, 20))).toEqual(TAKEN);
  const worker = createPool({ connectionString: db.workerUrl, max: 1 });
  await expect.poll(() => endOverdueTransactions(worker), POLL).toBe(1);
  await worker.end();
  expect(await other.ingest(given)).toEqual(TAKEN);
  one.goOn();
  expect(await answer).toMatchObject({ batchItemFailures: { length: 4_000 } });
  expect(await progress()).toEqual(["0 4005 4005 0", "1 25 25 0"]);
  expect(await differences(oracle)).toEqual([]);
}, 60_000);

test("a process killed inside its transaction leaves nothing, and its batch counts once", async () => {
  const [one, other] = await twoProcesses();
  const given = batch(0, 5, 50);
  await holding("open_windows", async () => {
    const answer = one.ingest(given);
    await untilWaiting(1);
    await Promise.all([one.kill(), expect(answer).rejects.toThrow("gone")]);
  });
  expect(await other.ingest(given)).toEqual(TAKEN);
  expect(await progress()).toEqual(["0 55 55 0", "1 5 5 0"]);
  expect(await differences(oracle)).toEqual([]);
}, 30_000);
