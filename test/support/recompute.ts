/**
 * The oracle: every result worked out again from raw rows by plain SQL that shares no code with the
 * fold, and compared both ways in one snapshot.
 *
 * Windows are compared as a reader sees them, finished rows and open states together, and finished
 * rows with their own states; lateness, watermarks and counts follow the batches in the order of
 * their commit.
 */
import {
  auditActiveUsers,
  auditGroups,
  auditJoins,
  auditSegmentWindows,
  auditSessions,
  createPool,
  type Difference,
  inTransaction,
  type Pool,
  type Sql,
} from "@headrace/db";
import { auditWindows } from "@headrace/reports";
import { WINDOW_SIZES } from "@headrace/windows";
import { activeUserDifferences } from "./recompute-active-users.ts";
import { joinDifferences } from "./recompute-joins.ts";
import { segmentDifferences } from "./recompute-segments.ts";
import { sessionDifferences } from "./recompute-sessions.ts";

export type { Difference } from "@headrace/db";

/** All that any event's time may be. */
const EVER = { fromMicros: Date.UTC(1990, 0) * 1000, toMicros: Date.UTC(2100, 0) * 1000 };

/** Differences between what is kept and what raw rows say, at this moment; none where all is well. */
export async function differences(pool: Pool): Promise<Difference[]> {
  return inTransaction(pool, "repeatable read", async (sql) => [
    ...(await auditWindows(sql, EVER, WINDOW_SIZES, Number.POSITIVE_INFINITY)).flatMap(
      (audited) => audited.differences,
    ),
    ...(await rowsOf(sql, "late_class", LATENESS)),
    ...(await rowsOf(sql, "stream_batches", BATCHES)),
    ...(await rowsOf(sql, "progress", PROGRESS)),
    ...(await rowsOf(sql, "watermark", WATERMARKS)),
    ...(await rowsOf(sql, "gap", GAPS)),
  ]);
}

type Oracle = (sql: Sql) => Promise<Difference[]>;

/** What reports say of everything else that is made of events, against raw rows. */
const ORACLES: readonly Oracle[] = [
  sessionDifferences,
  activeUserDifferences,
  joinDifferences,
  segmentDifferences,
];

/** The same, and what reports say of followed results: all of them, or the one that is picked. */
export async function allDifferences(
  pool: Pool,
  pick: (oracles: readonly Oracle[]) => readonly Oracle[] = (all) => all,
): Promise<Difference[]> {
  const found = await differences(pool);
  for (const oracle of pick(ORACLES)) {
    found.push(...(await inTransaction(pool, "repeatable read", oracle)));
  }
  return found;
}

/** What the product's own audit of finished results finds. */
export async function auditAll(pool: Pool): Promise<Difference[]> {
  const audited = await inTransaction(pool, "repeatable read", async (sql) => [
    ...(await auditSessions(sql, EVER, 10)),
    ...(await auditActiveUsers(sql, EVER, 10)),
    ...(await auditJoins(sql, EVER, 10)),
    ...(await auditSegmentWindows(sql, EVER, 10)),
    ...(await auditGroups(sql, 10)),
  ]);
  return audited.flatMap((it) => it.differences);
}

/** A pool that does nothing but look. Its database may be dropped under it. */
export function oraclePool(ownerUrl: string): Pool {
  const pool = createPool({ connectionString: ownerUrl, max: 1 });
  pool.on("error", () => {});
  return pool;
}

async function rowsOf(sql: Sql, what: string, text: string): Promise<Difference[]> {
  const { rows } = await sql.query<{ key: string; expected: unknown; actual: unknown }>(text);
  return rows.map((row) => ({ what, ...row }));
}

/**
 * Each event with its lane, and the lane's watermark before it. A gap's offsets may lie within those
 * of the same transaction's records that came in order (when the topic was made again): its lane is
 * the gap's.
 */
const LANES = `
  select
    event.event_id,
    event.late_class,
    event.topic,
    event.partition,
    batch.gap_id,
    event.event_time,
    least(event.event_time, event.record_time) - interval '5 seconds' as reached,
    greatest(
      gap.first_watermark,
      max(least(event.event_time, event.record_time) - interval '5 seconds') over (
        partition by event.topic, event.partition, batch.gap_id
        order by batch.batch_number, event.record_offset
        rows between unbounded preceding and 1 preceding
      )
    ) as watermark
  from stream_events event
  join lateral (
    select gap_id, batch_number
    from stream_batches
    where tx = event.tx
      and topic = event.topic
      and partition = event.partition
      and record_offset between first_offset and last_offset
      and event_time between least_time and greatest_time
    order by gap_id desc
    limit 1
  ) as batch on true
  left join stream_gaps gap using (gap_id)`;

const CLASS = `
  case
    when watermark is null or event_time >= watermark then 0
    when watermark - event_time <= interval '1 minute' then 1
    when watermark - event_time <= interval '1 hour' then 2
    when watermark - event_time <= interval '1 day' then 3
    else 4
  end`;

const LATENESS = `
  with lanes as materialized (${LANES})
  select
    topic || '-' || partition || ' ' || event_id || ' ' || event_time as key,
    ${CLASS} as expected,
    late_class as actual
  from lanes
  where late_class <> ${CLASS}`;

/** Each batch row against the events of its transaction and week: how many, and between which times. */
const BATCHES = `
  with held as (
    select
      tx,
      date_trunc('week', event_time at time zone 'UTC')::date as week,
      count(*) as rows,
      min(event_time),
      max(event_time)
    from stream_events
    group by 1, 2
  ),
  told as (
    select tx, week, sum(rows) as rows, min(least_time), max(greatest_time)
    from stream_batches
    group by 1, 2
  )
  select
    tx || ' ' || week as key,
    row_to_json(held) as expected,
    row_to_json(told) as actual
  from held
  full join told using (tx, week)
  where (held.rows, held.min, held.max) is distinct from (told.rows, told.min, told.max)`;

const PROGRESS = `
  with counted as (
    select
      topic,
      partition,
      count(*) as events,
      count(*) filter (where late_class = 1) as late_1m,
      count(*) filter (where late_class = 2) as late_1h,
      count(*) filter (where late_class = 3) as late_1d,
      count(*) filter (where late_class = 4) as late_older
    from stream_events
    group by topic, partition
  ),
  letters as (
    select topic, partition, count(*) as dead_letters
    from dead_letters
    group by topic, partition
  ),
  compared as (
    select
      topic || '-' || partition as key,
      json_build_array(
        coalesce(counted.events, 0), coalesce(letters.dead_letters, 0), coalesce(counted.late_1m, 0),
        coalesce(counted.late_1h, 0), coalesce(counted.late_1d, 0), coalesce(counted.late_older, 0)
      )::text as expected,
      json_build_array(
        progress.events, progress.dead_letters, progress.late_1m,
        progress.late_1h, progress.late_1d, progress.late_older
      )::text as actual
    from stream_progress progress
    full join counted using (topic, partition)
    full join letters using (topic, partition)
  )
  select key, expected, actual
  from compared
  where expected is distinct from actual`;

/** A partition's watermark against its records that came in order, a gap's against those that filled it. */
const WATERMARKS = `
  with reached as (
    select topic, partition, gap_id, max(reached) as watermark
    from (${LANES}) as lanes
    group by topic, partition, gap_id
  )
  select
    progress.topic || '-' || progress.partition as key,
    reached.watermark as expected,
    progress.watermark as actual
  from stream_progress progress
  left join reached on (reached.topic, reached.partition, gap_id) = (progress.topic, progress.partition, 0)
  where reached.watermark is distinct from progress.watermark
  union all
  select
    'gap ' || gap_id,
    greatest(gap.first_watermark, reached.watermark),
    gap.watermark
  from stream_gaps gap
  left join reached using (gap_id)
  where greatest(gap.first_watermark, reached.watermark) is distinct from gap.watermark`;

/** No offset is missing twice, and none above what was taken in. */
const GAPS = `
  select
    one.gap_id::text as key,
    'offsets of its own' as expected,
    one.from_offset || '..' || one.to_offset || ' beside ' || other.from_offset || '..' || other.to_offset as actual
  from stream_gaps one
  join stream_gaps other using (topic, partition)
  where one.gap_id < other.gap_id
    and one.closed_at is null
    and other.closed_at is null
    and one.next_offset < other.to_offset
    and other.next_offset < one.to_offset`;
