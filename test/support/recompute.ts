/**
 * The oracle: every result worked out again from raw rows by plain SQL that shares no code with the
 * fold, and compared both ways in one snapshot.
 *
 * Windows are compared as a reader sees them, finished rows and open states together; lateness and
 * watermarks follow the batches in the order of their commit.
 */
import { createPool, inTransaction, type Pool, type Sql } from "@headrace/db";
import { WINDOW_MICROS, type WindowFigures, type WindowSize, WindowState } from "@headrace/windows";

export interface Difference {
  readonly what: string;
  readonly key: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** Differences between what is kept and what raw rows say, at this moment; none where all is well. */
export async function differences(pool: Pool): Promise<Difference[]> {
  return inTransaction(pool, "repeatable read", async (sql) => [
    ...(await windowDifferences(sql)),
    ...(await latenessDifferences(sql)),
    ...(await progressDifferences(sql)),
  ]);
}

/** A pool that does nothing but look. Its database may be dropped under it. */
export function oraclePool(ownerUrl: string): Pool {
  const pool = createPool({ connectionString: ownerUrl, max: 1 });
  pool.on("error", () => {});
  return pool;
}

interface Plain {
  readonly event_count: number;
  readonly value_count: number;
  readonly value_sum: string | null;
  readonly abs_sum: number | null;
  readonly value_min: number | null;
  readonly value_max: number | null;
  readonly value_stddev: number | null;
  readonly value_p50: number | null;
  readonly value_p95: number | null;
  readonly value_p99: number | null;
  readonly distinct_users: number;
  readonly revenue_cents: string;
  readonly duration_mean: number | null;
  readonly late_events: number;
}

const SIZES: readonly WindowSize[] = ["10s", "1m", "1h", "1d"];
const INTERVALS = { "10s": "10 seconds", "1m": "1 minute", "1h": "1 hour", "1d": "1 day" } as const;

async function windowDifferences(sql: Sql): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const size of SIZES) {
    const [plain, read] = [await plainWindows(sql, size), await readWindows(sql, size)];
    for (const key of new Set([...plain.keys(), ...read.keys()])) {
      const [expected, actual] = [plain.get(key), read.get(key)];
      const place = { what: `window ${size}`, key };
      if (expected === undefined || actual === undefined) {
        found.push({ ...place, expected, actual: actual?.eventCount });
      } else {
        for (const [name, wanted, got] of unequal(expected, actual)) {
          found.push({ ...place, what: `window ${size} ${name}`, expected: wanted, actual: got });
        }
      }
    }
  }
  return found;
}

async function plainWindows(sql: Sql, size: WindowSize): Promise<Map<string, Plain>> {
  const { rows } = await sql.query<Plain & { key: string }>(
    `select
       micros(date_bin($1::interval, event_time, timestamptz 'epoch')) || ' ' || listed.event_type as key,
       count(*) as event_count,
       count(value) as value_count,
       sum(value::numeric) as value_sum,
       sum(abs(value)) as abs_sum,
       min(value) as value_min,
       max(value) as value_max,
       stddev_samp(value::numeric)::double precision as value_stddev,
       (array_agg(value order by value) filter (where value is not null))[1 + floor(0.5 * (count(value) - 1))::integer] as value_p50,
       (array_agg(value order by value) filter (where value is not null))[1 + floor(0.95 * (count(value) - 1))::integer] as value_p95,
       (array_agg(value order by value) filter (where value is not null))[1 + floor(0.99 * (count(value) - 1))::integer] as value_p99,
       count(distinct user_id) as distinct_users,
       coalesce(sum(amount_cents), 0) as revenue_cents,
       avg(duration) as duration_mean,
       count(*) filter (where late_class > 0) as late_events
     from stream_events
     cross join lateral (
       select coalesce(
         (select known.event_type from event_types known where known.event_type = stream_events.event_type),
         'other'
       ) as event_type
     ) as listed
     group by date_bin($1::interval, event_time, timestamptz 'epoch'), listed.event_type`,
    [INTERVALS[size]],
  );
  return new Map(rows.map((row) => [row.key, row]));
}

async function readWindows(sql: Sql, size: WindowSize): Promise<Map<string, WindowFigures>> {
  const { rows } = await sql.query<{ window_start: number; event_type: string; state: Buffer }>(
    `select window_start, event_type, state
     from realtime_aggregates
     where size = $1
     union all
     select window_start, event_type, state
     from open_windows`,
    [size],
  );
  const states = new Map<string, WindowState>();
  for (const row of rows) {
    const micros = WINDOW_MICROS[size];
    const key = `${Math.floor(row.window_start / micros) * micros} ${row.event_type}`;
    const state = states.get(key) ?? WindowState.empty();
    state.merge(WindowState.decode(row.state));
    states.set(key, state);
  }
  return new Map([...states].map(([key, state]) => [key, state.figures()]));
}

function unequal(plain: Plain, read: WindowFigures): [string, unknown, unknown][] {
  const sum = plain.value_sum === null ? null : Number(plain.value_sum);
  const spread = plain.value_stddev ?? 0;
  const mean = sum === null ? 0 : sum / plain.value_count;
  const exactUsers = plain.distinct_users <= 256;
  const checks: [string, unknown, unknown, boolean][] = [
    ["event_count", plain.event_count, read.eventCount, plain.event_count === read.eventCount],
    ["value_count", plain.value_count, read.valueCount, plain.value_count === read.valueCount],
    ["value_sum", sum, read.valueSum, near(sum, read.valueSum, 1e-9 * (plain.abs_sum ?? 0))],
    ["value_min", plain.value_min, read.valueMin, plain.value_min === read.valueMin],
    ["value_max", plain.value_max, read.valueMax, plain.value_max === read.valueMax],
    [
      "value_stddev",
      plain.value_stddev,
      read.valueStddev,
      spread < 1e-6 * Math.abs(mean) || near(plain.value_stddev, read.valueStddev, 1e-9 * spread),
    ],
    ...(["P50", "P95", "P99"] as const).map((rank): [string, unknown, unknown, boolean] => {
      const wanted = plain[`value_${rank.toLowerCase() as "p50"}`];
      const got = read[`value${rank}`];
      return [`value_${rank}`, wanted, got, near(wanted, got, 0.01 * Math.abs(wanted ?? 0) + 1e-9)];
    }),
    [
      "distinct_users",
      plain.distinct_users,
      read.distinctUsers,
      near(plain.distinct_users, read.distinctUsers, exactUsers ? 0 : 0.1 * plain.distinct_users),
    ],
    [
      "revenue",
      plain.revenue_cents,
      read.revenueCents,
      BigInt(plain.revenue_cents) === read.revenueCents,
    ],
    [
      "duration_mean",
      plain.duration_mean,
      read.durationMean,
      near(plain.duration_mean, read.durationMean, 1e-9 * (plain.duration_mean ?? 0)),
    ],
    ["late_events", plain.late_events, read.lateEvents, plain.late_events === read.lateEvents],
  ];
  return checks.flatMap(([name, wanted, got, equal]) => (equal ? [] : [[name, wanted, got]]));
}

const near = (a: number | null, b: number | null, tolerance: number): boolean =>
  a === null || b === null ? a === b : Math.abs(a - b) <= tolerance;

/** The lanes of each partition, their records in the order of commit: a row per event. */
const LANES = `
  select
    event.event_id,
    event.late_class,
    event.topic,
    event.partition,
    batch.gap_id,
    event.event_time,
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
    select gap_id, min(batch_number) as batch_number
    from stream_batches
    where tx = event.tx
      and event.record_offset between first_offset and last_offset
      and event.event_time between least_time and greatest_time
    group by gap_id
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

async function latenessDifferences(sql: Sql): Promise<Difference[]> {
  const { rows } = await sql.query<{ key: string; expected: number; actual: number }>(
    `with lanes as (${LANES})
     select
       topic || '-' || partition || ' ' || event_id || ' ' || event_time as key,
       ${CLASS} as expected,
       late_class as actual
     from lanes
     where late_class <> ${CLASS}`,
  );
  const missed = await sql.query<{ key: string }>(
    `select event_id || ' ' || event_time as key
     from stream_events
     where not exists (
       select
       from stream_batches
       where stream_batches.tx = stream_events.tx
         and event_time between least_time and greatest_time
         and record_offset between first_offset and last_offset
     )`,
  );
  return [
    ...rows.map((row) => ({ what: "late_class", ...row })),
    ...missed.rows.map(({ key }) => ({
      what: "stream_batches",
      key,
      expected: "a batch that holds the event",
      actual: "none",
    })),
  ];
}

async function progressDifferences(sql: Sql): Promise<Difference[]> {
  const { rows } = await sql.query<{ key: string; expected: string; actual: string }>(
    `with counted as (
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
     where expected is distinct from actual`,
  );
  return rows.map((row) => ({ what: "progress", ...row }));
}
