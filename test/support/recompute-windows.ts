/** Windows of every size against plain SQL over raw rows: what a reader gets, and what is stored. */
import type { Sql } from "@headrace/db";
import { readWindows, type WindowAnswer } from "@headrace/reports";
import { WINDOW_SIZES, type WindowFigures, type WindowSize, WindowState } from "@headrace/windows";
import type { Difference } from "./recompute.ts";

/** `sql`: within one snapshot. */
export async function windowDifferences(sql: Sql): Promise<Difference[]> {
  const plain = await plainWindows(sql);
  const found = await storedDifferences(sql);
  for (const size of WINDOW_SIZES) found.push(...(await readDifferences(sql, size, plain[size])));
  return found;
}

interface Plain {
  readonly size: WindowSize;
  /** Start in ms and type. */
  readonly key: string;
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
  readonly revenue: string;
  readonly duration_mean: number | null;
  readonly late_events: number;
  readonly final: boolean;
}

const rank = (q: number): string =>
  `(array_agg(value order by value) filter (where value is not null))[1 + floor(${q} * (count(value) - 1))::integer]`;

const PLAIN = `
  select
    size,
    (micros(date_bin(width, event_time, timestamptz 'epoch')) / 1000) || ' ' || listed.event_type as key,
    count(*) as event_count,
    count(value) as value_count,
    sum(value::numeric) as value_sum,
    sum(abs(value)) as abs_sum,
    min(value) as value_min,
    max(value) as value_max,
    stddev_samp(value::numeric)::double precision as value_stddev,
    ${rank(0.5)} as value_p50,
    ${rank(0.95)} as value_p95,
    ${rank(0.99)} as value_p99,
    count(distinct user_id) as distinct_users,
    (coalesce(sum(amount_cents), 0) / 100)::numeric(20, 2)::text as revenue,
    avg(duration) as duration_mean,
    count(*) filter (where late_class > 0) as late_events,
    coalesce(
      date_bin(width, event_time, timestamptz 'epoch') + width <= (select watermark from clock),
      false
    ) as final
  from stream_events
  cross join (
    values ('10s', interval '10 seconds'), ('1m', interval '1 minute'),
           ('1h', interval '1 hour'), ('1d', interval '1 day')
  ) as sizes (size, width)
  cross join lateral (
    select coalesce(
      (select known.event_type from event_types known where known.event_type = stream_events.event_type),
      'other'
    ) as event_type
  ) as listed
  group by size, width, date_bin(width, event_time, timestamptz 'epoch'), listed.event_type`;

type PlainBySize = Record<WindowSize, Map<string, Plain>>;

async function plainWindows(sql: Sql): Promise<PlainBySize> {
  const { rows } = await sql.query<Plain & Record<string, unknown>>(PLAIN);
  const bySize: PlainBySize = {
    "10s": new Map(),
    "1m": new Map(),
    "1h": new Map(),
    "1d": new Map(),
  };
  for (const row of rows) bySize[row.size].set(row.key, row);
  return bySize;
}

/** What the windows report says. It leaves out rows past their size's retention. */
async function readDifferences(
  sql: Sql,
  size: WindowSize,
  plain: ReadonlyMap<string, Plain>,
): Promise<Difference[]> {
  const page = await readWindows(
    { query: sql.query.bind(sql), snapshot: (work) => work(sql) },
    {
      size,
      eventType: null,
      fromMicros: Date.UTC(1990, 0) * 1000,
      toMicros: Date.UTC(2100, 0) * 1000,
      after: undefined,
      limit: 1_000_000,
    },
  );
  const read = new Map(
    page.windows.map((it) => [`${Date.parse(it.window_start)} ${it.event_type}`, it]),
  );
  const found: Difference[] = [];
  for (const key of new Set([...plain.keys(), ...read.keys()])) {
    const [expected, actual] = [plain.get(key), read.get(key)];
    const what = `window ${size}`;
    if (expected === undefined || actual === undefined) {
      found.push({ what, key, expected: expected?.event_count, actual: actual?.event_count });
    } else {
      found.push(
        ...unequal(expected, actual).map((it) => ({ ...it, what: `${what} ${it.what}`, key })),
      );
    }
  }
  return found;
}

type Unequal = Omit<Difference, "key">;

function unequal(plain: Plain, read: WindowAnswer): Unequal[] {
  const sum = plain.value_sum === null ? null : Number(plain.value_sum);
  const spread = plain.value_stddev ?? 0;
  const mean = sum === null ? null : sum / plain.value_count;
  const sumError = 1e-9 * (plain.abs_sum ?? 0);
  const isSpreadSmall = spread < 1e-6 * Math.abs(mean ?? 0);
  const usersError = plain.distinct_users <= 256 ? 0 : 0.1 * plain.distinct_users;
  const found: Unequal[] = [];
  const compare = (what: keyof WindowAnswer, expected: unknown, error?: number): void => {
    const actual = read[what];
    const isEqual = error === undefined ? actual === expected : isNear(expected, actual, error);
    if (!isEqual) found.push({ what, expected, actual });
  };
  for (const name of ["event_count", "value_count", "value_min", "value_max"] as const) {
    compare(name, plain[name]);
  }
  for (const name of ["revenue", "late_events", "final"] as const) compare(name, plain[name]);
  compare("value_sum", sum, sumError);
  compare("value_mean", mean, sumError / Math.max(1, plain.value_count));
  if (!isSpreadSmall) compare("value_stddev", plain.value_stddev, 1e-9 * spread);
  for (const name of ["value_p50", "value_p95", "value_p99"] as const) {
    compare(name, plain[name], 0.01 * Math.abs(plain[name] ?? 0) + 1e-9);
  }
  compare("distinct_users", plain.distinct_users, usersError);
  compare("duration_mean", plain.duration_mean, 1e-9 * (plain.duration_mean ?? 0));
  return found;
}

function isNear(expected: unknown, actual: unknown, error: number): boolean {
  if (typeof expected !== "number" || typeof actual !== "number") return expected === actual;
  return Math.abs(expected - actual) <= error;
}

interface Stored extends Record<string, unknown> {
  readonly key: string;
  readonly state: Buffer | null;
  readonly final: boolean;
  readonly passed: boolean;
}

/** A finished row's columns are its state's figures, and it is not final too early. */
async function storedDifferences(sql: Sql): Promise<Difference[]> {
  const { rows } = await sql.query<Stored>(
    `select
       realtime_aggregates.*,
       size || ' ' || (micros(window_start) / 1000) || ' ' || event_type as key,
       coalesce(window_end <= clock.watermark, false) as passed
     from realtime_aggregates
     cross join clock`,
  );
  const found: Difference[] = [];
  for (const row of rows) {
    const { key, final, passed } = row;
    if (final && !passed) {
      found.push({ what: "final row", key, expected: "not before the watermark", actual: final });
    }
    if (row.state === null) continue;
    const figures = columnsOf(WindowState.decode(row.state).figures());
    for (const [name, expected] of Object.entries(figures)) {
      const actual = row[name];
      if (actual !== expected) found.push({ what: `column ${name}`, key, expected, actual });
    }
  }
  return found;
}

const columnsOf = (figures: WindowFigures): Record<string, unknown> => ({
  event_count: figures.eventCount,
  value_count: figures.valueCount,
  value_sum: figures.valueSum,
  value_mean: figures.valueMean,
  value_min: figures.valueMin,
  value_max: figures.valueMax,
  value_stddev: figures.valueStddev,
  value_p50: figures.valueP50,
  value_p95: figures.valueP95,
  value_p99: figures.valueP99,
  distinct_users: figures.distinctUsers,
  revenue: `${figures.revenueCents / 100n}.${String(figures.revenueCents % 100n).padStart(2, "0")}`,
  duration_mean: figures.durationMean,
  late_events: figures.lateEvents,
});
