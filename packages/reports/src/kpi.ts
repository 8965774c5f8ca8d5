/**
 * GET /v1/reports/kpi: what happened in a stretch of time and in the one before it.
 *
 * Both stretches are covered with the fewest finished windows of all sizes; open states are added to
 * them in the same snapshot, so the figures are exact at every moment (unique users as exact as
 * distinct users of a window are: up to 256, then within 2 %). Where windows or their states are past
 * their retention, that part is made again from raw events.
 */
import { instantText, rawStatesByType, type Sql } from "@headrace/db";
import { formatCents, invalid } from "@headrace/kernel";
import { coverRange, type WindowRun, WindowState, windowStart } from "@headrace/windows";
import { z } from "zod";
import { Count, Figure, InstantText, instantOf, Money } from "./answer.ts";
import type { ReportSql } from "./report-sql.ts";

export const KpiFigures = z.strictObject({
  from: InstantText,
  to: InstantText,
  events: Count,
  /** Over all event types. */
  unique_users: Count,
  /** The sum of `amount` over purchases. */
  revenue: Money,
  purchases: Count,
  /** The mean `duration` of page views, in seconds. */
  mean_session_duration: Figure,
});
export type KpiFigures = z.output<typeof KpiFigures>;

export const KpiAnswer = z.strictObject({ current: KpiFigures, previous: KpiFigures });
export type KpiAnswer = z.output<typeof KpiAnswer>;

export interface KpiQuery {
  /** End of the stretch in µs, rounded up to 10 s. */
  readonly atMicros: number;
  /** A multiple of 10 s. */
  readonly windowMicros: number;
}

/** Throws `report.expired` where neither windows nor raw events are kept that far back. */
export async function readKpi(
  sql: ReportSql,
  { atMicros, windowMicros }: KpiQuery,
): Promise<KpiAnswer> {
  const to = -windowStart(-atMicros, "10s");
  const stretches = [
    { from: to - windowMicros, to },
    { from: to - 2 * windowMicros, to: to - windowMicros },
  ] as const;
  const runs = stretches.flatMap((stretch) => coverRange(stretch.from, stretch.to));

  const first = await readParts(sql, runs);
  const parts = first.every(isWhole)
    ? first
    : await sql.snapshot(async (moment) => withRaw(moment, await readParts(moment, runs)));
  const [current, previous] = stretches.map((stretch) => kpiOf(stretch, parts));
  return { current, previous } as KpiAnswer;
}

/** A run of windows and what was found for it. */
interface Part {
  readonly run: WindowRun;
  /** Whether some of its windows may have been dropped. */
  readonly isPastRetention: boolean;
  /** Whether raw events of it may be gone. */
  readonly isPastRaw: boolean;
  readonly states: TypedState[];
}

interface TypedState {
  readonly eventType: string;
  /** null: past its retention. */
  readonly state: WindowState | null;
}

const isWhole = ({ isPastRetention, states }: Part): boolean =>
  !isPastRetention && states.every(({ state }) => state !== null);

async function withRaw(sql: Sql, parts: readonly Part[]): Promise<readonly Part[]> {
  const whole: Part[] = [];
  for (const part of parts) {
    if (isWhole(part)) {
      whole.push(part);
      continue;
    }
    const { from, to } = part.run;
    if (part.isPastRaw) {
      const message = `neither windows nor events from ${instantOf(from)} on are kept any more`;
      throw invalid("report.expired", message, { faults: [{ path: "/at", message }] });
    }
    const raw = await rawStatesByType(sql, from, to);
    whole.push({
      ...part,
      states: [...raw].map(([eventType, state]) => ({ eventType, state })),
    });
  }
  return whole;
}

function kpiOf(
  { from, to }: { readonly from: number; readonly to: number },
  parts: readonly Part[],
): KpiFigures {
  const all = WindowState.empty();
  const purchases = WindowState.empty();
  const pageViews = WindowState.empty();
  for (const { run, states } of parts) {
    if (run.from < from || run.to > to) continue;
    for (const { eventType, state } of states) {
      if (state === null) continue;
      all.merge(state);
      if (eventType === "purchase") purchases.merge(state);
      else if (eventType === "page_view") pageViews.merge(state);
    }
  }
  const total = all.figures();
  const bought = purchases.figures();
  return {
    from: instantOf(from),
    to: instantOf(to),
    events: total.eventCount,
    unique_users: total.distinctUsers,
    revenue: formatCents(bought.revenueCents),
    purchases: bought.eventCount,
    mean_session_duration: pageViews.figures().durationMean,
  };
}

/** First each run by itself, then what was found for it. */
interface Row extends Record<string, unknown> {
  /** Place of the run in the list, from 1. */
  readonly run: number;
  readonly is_past_retention: boolean | null;
  readonly is_past_raw: boolean | null;
  /** null where the row tells of the run itself. */
  readonly event_type: string | null;
  readonly state: Buffer | null;
}

async function readParts(sql: Sql, runs: readonly WindowRun[]): Promise<readonly Part[]> {
  const { rows } = await sql.query<Row>({
    name: "read-kpi",
    text: PARTS,
    values: [
      runs.map(({ size }) => size),
      runs.map(({ from }) => instantText(from)),
      runs.map(({ to }) => instantText(to)),
    ],
  });
  const terms = rows.filter((row) => row.event_type === null);
  return runs.map((run, index) => {
    const number = index + 1;
    const term = terms.find((row) => row.run === number);
    return {
      run,
      isPastRetention: term?.is_past_retention === true,
      isPastRaw: term?.is_past_raw === true,
      states: rows.flatMap(({ run: of, event_type: eventType, state }) =>
        of === number && eventType !== null
          ? [{ eventType, state: state && WindowState.decode(state) }]
          : [],
      ),
    };
  });
}

// $1 size, $2 begin and $3 end of each run.
const PARTS = `
  with runs as materialized (
    select number, size, begins, ends
    from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) with ordinality
      as given (size, begins, ends, number)
  )
  select
    number as run,
    case size
      when '10s' then begins + interval '10 seconds' <= now() - window_10s_retention
      when '1m' then begins + interval '1 minute' <= now() - window_1m_retention
    end as is_past_retention,
    begins < clock.raw_from as is_past_raw,
    null as event_type,
    null as state
  from runs
  cross join settings
  cross join clock
  union all
  select number, null, null, kept.event_type, kept.state
  from runs
  join realtime_aggregates kept
    on kept.size = runs.size
    and kept.window_start >= begins
    and kept.window_start < ends
  union all
  select number, null, null, open.event_type, open.state
  from runs
  join open_windows open
    on open.window_start >= begins
    and open.window_start < ends`;
