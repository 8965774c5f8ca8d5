/** Table `realtime_aggregates`: one row per size, window and type, written by the finisher alone. */
import { formatCents } from "@headrace/kernel";
import { WINDOW_MICROS, type WindowFigures, type WindowSize, WindowState } from "@headrace/windows";
import { instantText, type Sql } from "../sql.ts";

export interface WindowKey {
  readonly size: WindowSize;
  /** µs */
  readonly windowStart: number;
  readonly eventType: string;
}

/** A row as far as folding into it needs. */
export interface KeptWindow extends WindowKey {
  /** Null once its retention has passed. */
  readonly state: WindowState | null;
  readonly final: boolean;
  readonly revision: number | null;
}

export const windowKeyText = ({ size, windowStart, eventType }: WindowKey): string =>
  `${size} ${windowStart} ${eventType}`;

const keyColumns = (keys: readonly WindowKey[]): unknown[] => [
  keys.map(({ size }) => size),
  keys.map(({ windowStart }) => instantText(windowStart)),
  keys.map(({ eventType }) => eventType),
];

export async function readKeptWindows(
  sql: Sql,
  keys: readonly WindowKey[],
): Promise<Map<string, KeptWindow>> {
  const { rows } = await sql.query<KeptRow>({
    name: "read-kept-windows",
    text: `select size, window_start, event_type, state, final, revision
           from unnest($1::text[], $2::timestamptz[], $3::text[]) as given (size, window_start, event_type)
           join realtime_aggregates using (size, window_start, event_type)`,
    values: keyColumns(keys),
  });
  return new Map(rows.map(keptWindow).map((kept) => [windowKeyText(kept), kept]));
}

interface KeptRow extends Record<string, unknown> {
  readonly size: WindowSize;
  readonly window_start: number;
  readonly event_type: string;
  readonly state: Buffer | null;
  readonly final: boolean;
  readonly revision: number | null;
}

const keptWindow = (row: KeptRow): KeptWindow => ({
  size: row.size,
  windowStart: row.window_start,
  eventType: row.event_type,
  state: row.state === null ? null : WindowState.decode(row.state),
  final: row.final,
  revision: row.revision,
});

export interface WrittenWindow extends WindowKey {
  readonly state: WindowState;
  readonly final: boolean;
  readonly revision: number | null;
}

/** Writes rows in the order of their keys. */
export async function writeWindows(sql: Sql, windows: readonly WrittenWindow[]): Promise<void> {
  const rows = windows.toSorted((a, b) => (windowKeyText(a) < windowKeyText(b) ? -1 : 1));
  const figures = rows.map(({ state }) => state.figures());
  const column = (of: (figures: WindowFigures) => unknown): unknown[] => figures.map(of);
  await sql.query({
    name: "write-windows",
    text: `insert into realtime_aggregates
             (size, window_start, event_type, window_end, event_count, value_count, value_sum, value_mean,
              value_min, value_max, value_stddev, value_p50, value_p95, value_p99, distinct_users,
              revenue, duration_mean, late_events, final, revision, state)
           select *
           from unnest(
             $1::text[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[],
             $7::double precision[], $8::double precision[], $9::double precision[],
             $10::double precision[], $11::double precision[], $12::double precision[],
             $13::double precision[], $14::double precision[], $15::bigint[], $16::numeric[],
             $17::double precision[], $18::bigint[], $19::boolean[], $20::integer[], $21::bytea[]
           )
           on conflict (size, window_start, event_type) do update set
             event_count    = excluded.event_count,
             value_count    = excluded.value_count,
             value_sum      = excluded.value_sum,
             value_mean     = excluded.value_mean,
             value_min      = excluded.value_min,
             value_max      = excluded.value_max,
             value_stddev   = excluded.value_stddev,
             value_p50      = excluded.value_p50,
             value_p95      = excluded.value_p95,
             value_p99      = excluded.value_p99,
             distinct_users = excluded.distinct_users,
             revenue        = excluded.revenue,
             duration_mean  = excluded.duration_mean,
             late_events    = excluded.late_events,
             final          = excluded.final,
             revision       = excluded.revision,
             state          = excluded.state`,
    values: [
      ...keyColumns(rows),
      rows.map(({ size, windowStart }) => instantText(windowStart + WINDOW_MICROS[size])),
      column((it) => it.eventCount),
      column((it) => it.valueCount),
      column((it) => it.valueSum),
      column((it) => it.valueMean),
      column((it) => it.valueMin),
      column((it) => it.valueMax),
      column((it) => it.valueStddev),
      column((it) => it.valueP50),
      column((it) => it.valueP95),
      column((it) => it.valueP99),
      column((it) => it.distinctUsers),
      column((it) => formatCents(it.revenueCents)),
      column((it) => it.durationMean),
      column((it) => it.lateEvents),
      rows.map(({ final }) => final),
      rows.map(({ revision }) => revision),
      rows.map(({ state }) => state.encode()),
    ],
  });
}

/** A row with everything in it. */
export interface StoredWindow extends KeptWindow {
  /** The figures, by column. */
  readonly columns: Readonly<Record<string, unknown>>;
}

/** Rows that start in [from, to) µs, of `types` or of all. */
export async function readStoredWindows(
  sql: Sql,
  sizes: readonly WindowSize[],
  from: number,
  to: number,
  types: readonly string[] | null = null,
): Promise<StoredWindow[]> {
  const { rows } = await sql.query<KeptRow>(
    `select *
     from realtime_aggregates
     where size = any ($1)
       and window_start >= $2
       and window_start < $3
       and ($4::text[] is null or event_type = any ($4))`,
    [sizes, instantText(from), instantText(to), types],
  );
  return rows.map((row) => ({ ...keptWindow(row), columns: row }));
}

/** The figures as the columns hold them. */
export const figureColumns = (figures: WindowFigures): Readonly<Record<string, unknown>> => ({
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
  revenue: formatCents(figures.revenueCents),
  duration_mean: figures.durationMean,
  late_events: figures.lateEvents,
});

export async function deleteWindows(sql: Sql, keys: readonly WindowKey[]): Promise<void> {
  await sql.query({
    name: "delete-windows",
    text: `delete from realtime_aggregates
           using unnest($1::text[], $2::timestamptz[], $3::text[]) as given (size, window_start, event_type)
           where realtime_aggregates.size = given.size
             and realtime_aggregates.window_start = given.window_start
             and realtime_aggregates.event_type = given.event_type`,
    values: keyColumns(keys),
  });
}
