/** What the tests of `ingest-events` share: a database, the handler, events, and what was kept of them. */
import { afterEach, beforeEach, expect } from "vitest";
import { testDatabase } from "../support/database.ts";
import type { LambdaKafkaEvent } from "../support/kafka.ts";
import { differences, oraclePool } from "../support/recompute.ts";

/** The time of every event and record that names no other. */
export const NOW = Date.parse("2026-01-01T00:00:00Z");

/** So many seconds later. */
export const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

/** The answer to an event of which no partition failed. */
export const TAKEN = { batchItemFailures: [] };

const CONTEXT = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };

/**
 * To be called at the top of a test file; the database is emptied before each of its tests, and what
 * is kept after one has to equal what raw rows say, whatever the test did.
 */
export async function ingestHarness() {
  const db = await testDatabase();
  process.env.DATABASE_WORKER_URL = db.workerUrl;
  const { handler } = await import("../../functions/kafka/ingest-events.ts");
  const oracle = oraclePool(db.ownerUrl);
  await db.pool.query(
    "update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null",
  );

  beforeEach(async () => {
    await db.pool.query(
      `truncate stream_events, stream_batches, stream_progress, stream_gaps, stream_ends,
         stream_failures, dead_letters, open_windows, realtime_aggregates, leases`,
    );
  });
  afterEach(async () => {
    expect(await differences(oracle)).toEqual([]);
  });

  let lastId = 0;
  const rows = async (text: string): Promise<Record<string, unknown>[]> =>
    (await db.pool.query(text)).rows;
  /** Each row as its values with spaces between. */
  const texts = async (text: string): Promise<string[]> =>
    (await rows(text)).map((row) => Object.values(row).join(" "));

  return {
    db,
    ingest: (event: Partial<LambdaKafkaEvent>) => handler(event as LambdaKafkaEvent, CONTEXT),

    /** A clean event with an id of its own, with fields replaced. */
    event: (more: Record<string, unknown> = {}): Record<string, unknown> => ({
      event_id: `00000000-0000-4000-8000-${String(++lastId).padStart(12, "0")}`,
      event_time: "2026-01-01T00:00:00Z",
      event_type: "page_view",
      user_id: "u1",
      ...more,
    }),

    rows,
    texts,
    stored: async (): Promise<number> =>
      Number((await rows("select count(*) as n from stream_events"))[0]?.n),
    progress: () =>
      texts(
        "select topic, partition, next_offset, events, duplicates, dead_letters from stream_progress order by 1, 2",
      ),
  };
}
