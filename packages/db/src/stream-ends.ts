/** Table `stream_ends`: where each partition's log begins and ends, as the cron last read it. */
import { instantText, type Sql } from "./sql.ts";

export interface LogRange {
  readonly topic: string;
  readonly partition: number;
  readonly begin: number;
  /** One past the last record. */
  readonly end: number;
}

/** Topics that hold progress, so that their ends have to be read. */
export async function listKnownTopics(sql: Sql): Promise<string[]> {
  const { rows } = await sql.query<{ topic: string }>(
    "select distinct topic from stream_progress order by topic",
  );
  return rows.map(({ topic }) => topic);
}

/** The database's clock, µs: to be read before Kafka is asked, for `recordEnds`. */
export async function readClock(sql: Sql): Promise<number> {
  const { rows } = await sql.query<{ now: number }>("select clock_timestamp() as now");
  return rows[0]?.now ?? 0;
}

/**
 * Stores what was read of `topics`, begun at `readAtMicros` by the database's clock. A later time
 * would lie: what was committed while Kafka answered would seem to lie behind the end of its log,
 * as in a topic that was made again. Partitions of theirs that were not found, of a topic that is
 * gone or was made again with fewer, are stored as empty: they hold nothing unread.
 */
export async function recordEnds(
  sql: Sql,
  topics: readonly string[],
  ranges: readonly LogRange[],
  readAtMicros: number,
): Promise<void> {
  await sql.query(
    `insert into stream_ends (topic, partition, begin_offset, end_offset, read_at)
     select
       topic,
       partition,
       coalesce(found.begin_offset, 0),
       coalesce(found.end_offset, 0),
       $6::timestamptz
     from unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[])
       as found (topic, partition, begin_offset, end_offset)
     full join (
       select topic, partition
       from stream_progress
       where topic = any ($1)
       union
       select topic, partition
       from stream_ends
       where topic = any ($1)
     ) as known using (topic, partition)
     order by topic, partition
     on conflict (topic, partition) do update
     set begin_offset = excluded.begin_offset,
         end_offset   = excluded.end_offset,
         read_at      = excluded.read_at`,
    [
      topics,
      ranges.map(({ topic }) => topic),
      ranges.map(({ partition }) => partition),
      ranges.map(({ begin }) => begin),
      ranges.map(({ end }) => end),
      instantText(readAtMicros),
    ],
  );
}
