/**
 * GET /v1/progress: how far each partition has been taken in and finished, and whether everything that
 * Kafka holds is in the results.
 *
 * Reports answer with every event up to `next_offset`; results that are finished behind it, which SQL
 * tools read, hold those up to `finished_offset`. End offsets are those that the cron read last, up to 10 s ago: `caught_up` says that nothing was
 * unread then, not that nothing has been produced since.
 */
import { FOLLOWERS, type Sql } from "@headrace/db";
import * as z from "zod";
import { Count, InstantText, instantOrNull } from "./answer.ts";

export const PartitionProgress = z.strictObject({
  topic: z.string(),
  partition: Count,
  /** The first offset that has not been taken in. */
  next_offset: Count,
  /** Every event before it is in all finished results; at most `next_offset`. */
  finished_offset: Count,
  /** One past the last record in Kafka; null while it has not been read. */
  end_offset: Count.nullable(),
  /** Records that have not been taken in; null while the end is not known. */
  lag: Count.nullable(),
  /** No event older than this is expected of the partition; null before its first event. */
  watermark: InstantText.nullable(),
  /** From the watermark to the database's clock. */
  event_time_lag_seconds: z.number().nullable(),
  events: Count,
  /** Records at new positions whose event had been stored before. */
  duplicates: Count,
  dead_letters: Count,
  /** Records left out because their user was erased after them. */
  erased: Count,
  /** Stretches of skipped offsets that have not been filled yet. */
  gaps: Count,
  late: z.strictObject({ within_1m: Count, within_1h: Count, within_1d: Count, older: Count }),
});

export const ProgressAnswer = z.strictObject({
  partitions: z.array(PartitionProgress),
  watermark: InstantText.nullable(),
  /** Age of the oldest transaction that holds back what follows behind ingest; 0 where none does. */
  xmin_age_seconds: z.number().min(0),
  caught_up: z.boolean(),
});
export type ProgressAnswer = z.output<typeof ProgressAnswer>;

interface Row extends Record<string, unknown> {
  readonly overall_watermark: number | null;
  readonly xmin_age_seconds: number;
  /** null in the one row of a database that knows no partition. */
  readonly topic: string | null;
  readonly partition: number;
  readonly next_offset: number;
  readonly finished_offset: number;
  readonly end_offset: number | null;
  readonly is_recent: boolean;
  readonly lag: number | null;
  readonly watermark: number | null;
  readonly event_time_lag_seconds: number | null;
  readonly events: number;
  readonly duplicates: number;
  readonly dead_letters: number;
  readonly erased: number;
  readonly gaps: number;
  readonly late_1m: number;
  readonly late_1h: number;
  readonly late_1d: number;
  readonly late_older: number;
}

export async function readProgress(sql: Sql): Promise<ProgressAnswer> {
  const { rows } = await sql.query<Row>({
    name: "read-progress",
    text: TEXT,
    values: [FOLLOWERS],
  });
  const known = rows.filter(({ topic }) => topic !== null);
  const [first] = rows;
  return {
    partitions: known.map((row) => ({
      topic: row.topic ?? "",
      partition: row.partition,
      next_offset: row.next_offset,
      finished_offset: row.finished_offset,
      end_offset: row.end_offset,
      lag: row.lag,
      watermark: instantOrNull(row.watermark),
      event_time_lag_seconds: row.event_time_lag_seconds,
      events: row.events,
      duplicates: row.duplicates,
      dead_letters: row.dead_letters,
      erased: row.erased,
      gaps: row.gaps,
      late: {
        within_1m: row.late_1m,
        within_1h: row.late_1h,
        within_1d: row.late_1d,
        older: row.late_older,
      },
    })),
    watermark: instantOrNull(first?.overall_watermark ?? null),
    xmin_age_seconds: first?.xmin_age_seconds ?? 0,
    caught_up:
      known.length > 0 &&
      known.every(
        (row) =>
          row.is_recent &&
          row.lag === 0 &&
          row.gaps === 0 &&
          // Since the end was read, more may have come; that is not asked for.
          row.finished_offset >= Math.min(row.next_offset, row.end_offset ?? 0),
      ),
  };
}

// An end below the next offset was read before the last commit, or the topic was made again: then
// its whole log is unread. Ends are read every 10 s; older than 30 s they tell nothing.
// $1 followers: a batch is in all finished results once each has passed it, and its windows are folded.
const TEXT = `
  with passed as (
    select min(coalesce(tx_cursor, 0)) as tx
    from unnest($1::text[]) as follower (name)
    left join leases using (name)
  ),
  unfinished as (
    select topic, partition, min(first_offset) as first_offset
    from stream_batches
    where tx >= (select tx from passed)
       or tx = any (array(select distinct tx from open_windows))
    group by topic, partition
  ),
  open_gaps as (
    select topic, partition, count(*) as gaps
    from stream_gaps
    where closed_at is null
    group by topic, partition
  ),
  partitions as (
    select
      topic,
      partition,
      coalesce(progress.next_offset, ends.begin_offset) as next_offset,
      least(unfinished.first_offset, coalesce(progress.next_offset, ends.begin_offset)) as finished_offset,
      ends.end_offset,
      coalesce(ends.read_at > clock_timestamp() - interval '30 seconds', false) as is_recent,
      case
        when ends.end_offset >= coalesce(progress.next_offset, ends.begin_offset)
          then ends.end_offset - greatest(progress.next_offset, ends.begin_offset)
        when ends.read_at > progress.committed_at then ends.end_offset - ends.begin_offset
        when ends.end_offset is not null then 0
      end as lag,
      progress.watermark,
      round(extract(epoch from clock_timestamp() - progress.watermark), 3)::double precision
        as event_time_lag_seconds,
      coalesce(events, 0) as events,
      coalesce(duplicates, 0) as duplicates,
      coalesce(dead_letters, 0) as dead_letters,
      coalesce(erased, 0) as erased,
      coalesce(gaps, 0) as gaps,
      coalesce(late_1m, 0) as late_1m,
      coalesce(late_1h, 0) as late_1h,
      coalesce(late_1d, 0) as late_1d,
      coalesce(late_older, 0) as late_older
    from stream_progress progress
    full join stream_ends ends using (topic, partition)
    left join open_gaps using (topic, partition)
    left join unfinished using (topic, partition)
  )
  select
    clock.watermark as overall_watermark,
    round(xmin_age_seconds()::numeric, 3)::double precision as xmin_age_seconds,
    partitions.*
  from clock
  left join partitions on true
  order by topic, partition`;
