/** Table `stream_progress`: the row that a partition's transactions queue on, and its gaps. */
import { instantText, type Sql } from "../sql.ts";
import type { LaneFold } from "./fold.ts";

/** The locked row, and what else a batch must know at that moment. Instants in µs. */
export interface LockedProgress {
  readonly next_offset: number;
  readonly watermark: number | null;
  readonly batches: number;
  readonly raw_from: number;
  readonly now: number;
  /** Whether Kafka's log was seen, after the last commit, to end before `next_offset`. */
  readonly log_restarted: boolean;
}

/** Locks the partition's row until the transaction ends; undefined where there is none yet. */
export async function lockProgress(
  sql: Sql,
  topic: string,
  partition: number,
): Promise<LockedProgress | undefined> {
  const { rows } = await sql.query<LockedProgress>({
    name: "lock-progress",
    text: `select
             progress.next_offset,
             progress.watermark,
             progress.batches,
             clock.raw_from,
             clock_timestamp() as now,
             coalesce(
               ends.read_at > progress.committed_at and ends.end_offset < progress.next_offset,
               false
             ) as log_restarted
           from stream_progress progress
           cross join clock
           left join stream_ends ends using (topic, partition)
           where topic = $1
             and partition = $2
           for update of progress`,
    values: [topic, partition],
  });
  return rows[0];
}

/**
 * A partition's first batch is no gap: its row starts where that batch does. Committed before the
 * batch is tried, so that the batch is missed should a later one come instead of it.
 */
export async function beginProgress(
  sql: Sql,
  topic: string,
  partition: number,
  firstOffset: number,
): Promise<void> {
  await sql.query(
    `insert into stream_progress (topic, partition, next_offset)
     values ($1, $2, $3)
     on conflict do nothing`,
    [topic, partition, firstOffset],
  );
}

export async function advanceProgress(
  sql: Sql,
  topic: string,
  partition: number,
  nextOffset: number,
  lanes: readonly LaneFold[],
): Promise<void> {
  const sum = (count: (lane: LaneFold) => number): number =>
    lanes.reduce((total, lane) => total + count(lane), 0);
  const watermark = lanes.find((lane) => lane.gapId === 0)?.watermarkMicros ?? null;
  await sql.query({
    name: "advance-progress",
    text: `update stream_progress
           set next_offset  = $3,
               watermark    = greatest(watermark, $4::timestamptz),
               batches      = batches + 1,
               events       = events + $5,
               duplicates   = duplicates + $6,
               dead_letters = dead_letters + $7,
               late_1m      = late_1m + $8,
               late_1h      = late_1h + $9,
               late_1d      = late_1d + $10,
               late_older   = late_older + $11,
               erased       = erased + $12,
               committed_at = clock_timestamp()
           where topic = $1
             and partition = $2`,
    values: [
      topic,
      partition,
      nextOffset,
      watermark === null ? null : instantText(watermark),
      sum((lane) => lane.events),
      sum((lane) => lane.duplicates),
      sum((lane) => lane.deadLetters),
      ...([1, 2, 3, 4] as const).map((late) => sum((lane) => lane.late[late])),
      sum((lane) => lane.erased),
    ],
  });
}
