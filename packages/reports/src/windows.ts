/**
 * GET /v1/reports/windows: tumbling windows of one size, in the order of their start and event type.
 *
 * Finished rows and open states are read in one snapshot, so every window is exact at every moment,
 * whatever the finisher has folded. A window that nothing open touches is answered from its row's
 * columns; the others are merged from states, and made again from raw events where the row's state
 * is past its retention. Windows that would be empty are left out, and so are those past the
 * retention of their size. A type that has no windows of its own is found under `other`.
 */
import { figureColumns, instantText, rawState, type Sql } from "@headrace/db";
import {
  floorTo,
  WINDOW_MICROS,
  WINDOW_SIZES,
  type WindowFigures,
  type WindowSize,
  WindowState,
} from "@headrace/windows";
import * as z from "zod";
import { Count, Figure, InstantText, instantOf, Money } from "./answer.ts";
import { unpackStates } from "./packed-states.ts";
import type { ReportSql } from "./report-sql.ts";

export const WindowSizeName = z.enum(WINDOW_SIZES);

export const WindowAnswer = z.strictObject({
  window_start: InstantText,
  window_end: InstantText,
  event_type: z.string(),
  event_count: Count,
  value_count: Count,
  value_sum: Figure,
  value_mean: Figure,
  value_min: Figure,
  value_max: Figure,
  value_stddev: Figure,
  value_p50: Figure,
  value_p95: Figure,
  value_p99: Figure,
  distinct_users: Count,
  revenue: Money,
  duration_mean: Figure,
  final: z.boolean(),
  revision: Count.nullable(),
  late_events: Count,
});
export type WindowAnswer = z.output<typeof WindowAnswer>;

/** Where a page ends: start of its last window in µs, and its event type. */
export interface WindowPlace {
  readonly startMicros: number;
  readonly eventType: string;
}

export interface WindowsQuery {
  readonly size: WindowSize;
  /** null: all types. */
  readonly eventType: string | null;
  /** Windows that start in [from, to), µs. */
  readonly fromMicros: number;
  readonly toMicros: number;
  /** Only windows behind this place. */
  readonly after: WindowPlace | undefined;
  readonly limit: number;
}

export interface WindowsPage {
  readonly windows: WindowAnswer[];
  /** Undefined where nothing follows. */
  readonly last: WindowPlace | undefined;
}

export async function readWindows(sql: ReportSql, query: WindowsQuery): Promise<WindowsPage> {
  const rows = await readRows(sql, query);
  if (!rows.some(isStateless)) return pageOf(rows, query, mergedFigures);
  return sql.snapshot(async (moment) => {
    const again = await readRows(moment, query);
    const raw = new Map<Row, Figures>();
    for (const row of again.filter(isStateless)) {
      raw.set(row, figuresOf((await rawState(moment, stretchOf(row, query.size))).figures()));
    }
    return pageOf(again, query, (row) => raw.get(row) ?? mergedFigures(row));
  });
}

type Figures = Omit<
  WindowAnswer,
  "window_start" | "window_end" | "event_type" | "final" | "revision"
>;

/** A finished row, open states, or both. */
interface Row extends Figures {
  readonly window_start: number;
  readonly event_type: string;
  /** Whether there is a finished row; without one its columns are null, whatever their types say. */
  readonly is_kept: boolean;
  /** The finished row's, where there are open states and it is not past its retention. */
  readonly state: Buffer | null;
  /** Packed. */
  readonly open_states: Buffer | null;
  readonly final: boolean;
  readonly revision: number | null;
}

/** The finished row would have to be merged with open states, and its own state is gone. */
const isStateless = (row: Row): boolean =>
  row.open_states !== null && row.is_kept && row.state === null;

const stretchOf = (row: Row, size: WindowSize) => ({
  eventType: row.event_type,
  from: row.window_start,
  to: row.window_start + WINDOW_MICROS[size],
});

function pageOf(
  rows: readonly Row[],
  { size, limit }: WindowsQuery,
  figures: (row: Row) => Figures,
): WindowsPage {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return {
    windows: shown.map((row) => ({
      window_start: instantOf(row.window_start),
      window_end: instantOf(row.window_start + WINDOW_MICROS[size]),
      event_type: row.event_type,
      ...figures(row),
      final: row.final,
      revision: row.revision,
    })),
    last: last && { startMicros: last.window_start, eventType: last.event_type },
  };
}

function mergedFigures(row: Row): Figures {
  if (row.open_states === null) return columnsOf(row);
  const state = row.state === null ? WindowState.empty() : WindowState.decode(row.state);
  for (const open of unpackStates(row.open_states)) state.merge(WindowState.decode(open));
  return figuresOf(state.figures());
}

const figuresOf = (figures: WindowFigures): Figures => figureColumns(figures) as Figures;

function columnsOf(row: Row): Figures {
  return {
    event_count: row.event_count,
    value_count: row.value_count,
    value_sum: row.value_sum,
    value_mean: row.value_mean,
    value_min: row.value_min,
    value_max: row.value_max,
    value_stddev: row.value_stddev,
    value_p50: row.value_p50,
    value_p95: row.value_p95,
    value_p99: row.value_p99,
    distinct_users: row.distinct_users,
    revenue: row.revenue,
    duration_mean: row.duration_mean,
    late_events: row.late_events,
  };
}

/** One more row than the limit tells whether another page follows. */
async function readRows(sql: Sql, query: WindowsQuery): Promise<readonly Row[]> {
  const { size, eventType, limit } = query;
  const width = WINDOW_MICROS[size];
  const from = ceilTo(query.fromMicros, width);
  // Behind (from, "") lie all windows from `from` on: no type is empty.
  const after = query.after ?? { startMicros: from, eventType: "" };
  const { rows } = await sql.query<Row & Record<string, unknown>>({
    ...(eventType === null ? ALL_TYPES : ONE_TYPE),
    values: [
      size,
      instantText(Math.max(from, after.startMicros)),
      after.startMicros < from ? "" : after.eventType,
      instantText(ceilTo(query.toMicros, width)),
      limit + 1,
      `${width / 1_000_000} seconds`,
      ...(eventType === null ? [] : [eventType]),
    ],
  });
  return rows;
}

const ceilTo = (micros: number, step: number): number => -floorTo(-micros, step);

// $1 size, $2 and $3 the place behind which to begin, $4 end, $5 rows, $6 width of a window, $7 type.
const pageText = (typeIsGiven: string): string => `
  with kept as (
    select *
    from realtime_aggregates
    where size = $1
      and (window_start, event_type) > ($2::timestamptz, $3::text)
      and window_start < $4
      ${typeIsGiven}
    order by window_start, event_type
    limit $5
  ),
  open as (
    select
      date_bin($6::interval, window_start, timestamptz 'epoch') as window_start,
      event_type,
      string_agg(int4send(length(state)) || state, ''::bytea) as states
    from open_windows
    where window_start >= $2
      and window_start < $4
      ${typeIsGiven}
    group by 1, 2
  )
  select
    window_start,
    event_type,
    event_count,
    value_count,
    value_sum,
    value_mean,
    value_min,
    value_max,
    value_stddev,
    value_p50,
    value_p95,
    value_p99,
    distinct_users,
    revenue,
    duration_mean,
    late_events,
    kept.size is not null as is_kept,
    case when open.states is not null then kept.state end as state,
    open.states as open_states,
    coalesce(kept.final or clock.watermark >= window_start + $6::interval, false) as final,
    case
      when kept.final and open.states is not null then kept.revision + 1
      when kept.final then kept.revision
      when clock.watermark >= window_start + $6::interval then 0
    end as revision
  from kept
  full join open using (window_start, event_type)
  cross join clock
  cross join settings
  where (window_start, event_type) > ($2::timestamptz, $3::text)
    and (
      kept.size is not null
      or window_start + $6::interval > coalesce(
        now() - case $1 when '10s' then window_10s_retention when '1m' then window_1m_retention end,
        '-infinity'
      )
    )
  order by window_start, event_type
  limit $5`;

const ALL_TYPES = { name: "read-windows", text: pageText("") };
const ONE_TYPE = { name: "read-windows-of-type", text: pageText("and event_type = $7") };
