/** Events for tests of the database, taken in by the same transaction that functions use. */
import {
  createPool,
  type Ingested,
  ingestPartition,
  type Lease,
  openPart,
  type Pool,
  repeated,
  takeLease,
} from "@headrace/db";
import { afterAll } from "vitest";

let made = 0;

/** A valid event; `more` wins. Every call makes another id. */
export const event = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  event_id: `00000000-0000-4000-8000-${(++made).toString(16).padStart(12, "0")}`,
  event_time: "2026-01-01T00:00:00Z",
  event_type: "page_view",
  user_id: "u1",
  ...more,
});

export interface Place {
  readonly topic?: string;
  readonly partition?: number;
  /** Of the first record; default: where the partition stands. */
  readonly offset?: number;
  /** Of all records; default: now. */
  readonly timestampMillis?: number;
}

export async function takeIn(
  pool: Pool,
  events: readonly Record<string, unknown>[],
  { topic = "events", partition = 0, offset, timestampMillis = Date.now() }: Place = {},
): Promise<Ingested> {
  const { rows } = await pool.query<{ next_offset: number }>(
    "select next_offset from stream_progress where topic = $1 and partition = $2",
    [topic, partition],
  );
  const firstOffset = offset ?? rows[0]?.next_offset ?? 0;
  return ingestPartition(
    pool,
    {
      topic,
      partition,
      firstOffset,
      lastOffset: firstOffset + events.length - 1,
      records: events.map((it, index) => ({
        offset: firstOffset + index,
        timestampMillis,
        timestampType: "LOG_APPEND_TIME" as const,
        key: null,
        value: Buffer.from(JSON.stringify(it)),
      })),
    },
    { horizonDays: 3650 },
  );
}

export async function leaseOf(pool: Pool, name: string, seconds = 60): Promise<Lease> {
  const lease = await takeLease(pool, name, "test", seconds);
  if (lease === undefined) throw new Error(`the lease of ${name} is taken`);
  return lease;
}

export async function rowsOf(pool: Pool, text: string): Promise<Record<string, unknown>[]> {
  return (await pool.query(text)).rows;
}

/** Whether a session waits for another one's lock. */
export async function isWaiting(pool: Pool): Promise<boolean> {
  const rows = await rowsOf(
    pool,
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rows.length > 0;
}

/** A pool that ends after the file. A session that its database takes with it has nobody to tell. */
export function testPool(url: string, max = 2): Pool {
  const pool = createPool({ connectionString: url, max });
  pool.on("error", () => {});
  afterAll(() => pool.end());
  return pool;
}

/**
 * Runs a follower's `slice` until nothing is open to it. A write transaction of any database of the
 * server, of another test file too, holds the cut back for as long as it runs.
 */
export async function followAll(
  pool: Pool,
  follower: string,
  slice: () => Promise<unknown>,
): Promise<void> {
  while ((await openPart(pool, follower)).rows > 0) await repeated(slice);
}
