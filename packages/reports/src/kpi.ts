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
import { coverRange, Distinct, type WindowRun, WindowState, windowStart } from "@headrace/windows";
import * as z from "zod";
import { Count, Figure, InstantText, instantOf, Money } from "./answer.ts";
import { unpackStates } from "./packed-states.ts";
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
  readonly states: StoredStates[];
}

/** All states of a type in a run, finished or open. */
interface StoredStates {
  readonly eventType: string;
  readonly states: Iterable<Buffer>;
  /** Whether one is missing because it is past its retention. */
  readonly isPartial: boolean;
}

const isWhole = ({ isPastRetention, states }: Part): boolean =>
  !isPastRetention && !states.some(({ isPartial }) => isPartial);

/** Raw events in the place of what is not there; they hold what is open too. */
async function withRaw(sql: Sql, parts: readonly Part[]): Promise<readonly Part[]> {
  const whole: Part[] = [];
  for (const part of parts) whole.push(isWhole(part) ? part : await fromRaw(sql, part));
  return whole;
}

async function fromRaw(sql: Sql, part: Part): Promise<Part> {
  const { from, to } = part.run;
  if (part.isPastRaw) {
    const message = `neither windows nor events from ${instantOf(from)} on are kept any more`;
    throw invalid("report.expired", message, { faults: [{ path: "/at", message }] });
  }
  const raw = await rawStatesByType(sql, from, to);
  const states = [...raw].map(([eventType, state]) => ({
    eventType,
    states: [state.encode()],
    isPartial: false,
  }));
  return { ...part, states };
}

interface Stretch {
  readonly from: number;
  readonly to: number;
}

function kpiOf({ from, to }: Stretch, parts: readonly Part[]): KpiFigures {
  let events = 0;
  const users = new Distinct();
  const purchases = WindowState.empty();
  const pageViews = WindowState.empty();
  const found = parts.filter(({ run }) => run.from >= from && run.to <= to);
  for (const { eventType, states } of found.flatMap((part) => part.states)) {
    for (const bytes of states) {
      const counted = WindowState.decodeUsers(bytes);
      events += counted.eventCount;
      users.merge(counted.users);
      if (eventType === "purchase") purchases.merge(WindowState.decode(bytes));
      else if (eventType === "page_view") pageViews.merge(WindowState.decode(bytes));
    }
  }
  const bought = purchases.figures();
  return {
    from: instantOf(from),
    to: instantOf(to),
    events,
    // An estimate may exceed the number of events; the truth cannot.
    unique_users: Math.min(users.count(), events),
    revenue: formatCents(bought.revenueCents),
    purchases: bought.eventCount,
    mean_session_duration: pageViews.figures().durationMean,
  };
}

/** One row for each run by itself, before those of what was found for it. */
interface Row extends Record<string, unknown> {
  /** Place of the run in the list, from 1. */
  readonly run: number;
  readonly is_past_retention: boolean | null;
  readonly is_past_raw: boolean | null;
  /** null where the row tells of the run itself. */
  readonly event_type: string | null;
  /** Packed; null where each is past its retention. */
  readonly states: Buffer | null;
  readonly is_partial: boolean | null;
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
  const parts = new Map<number, Part>();
  for (const { run, event_type: eventType, states, ...row } of rows) {
    if (eventType === null) {
      parts.set(run, {
        run: runs[run - 1] as WindowRun,
        isPastRetention: row.is_past_retention === true,
        isPastRaw: row.is_past_raw === true,
        states: [],
      });
    } else {
      const unpacked = states === null ? [] : [...unpackStates(states)];
      const isPartial = row.is_partial === true;
      parts.get(run)?.states.push({ eventType, states: unpacked, isPartial });
    }
  }
  return [...parts.values()];
}

// $1 size, $2 begin and $3 end of each run. Grouping within the lateral also keeps the
// planner from joining in one pass over the table: a run is a few neighbours in the primary key.
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
    null as states,
    null as is_partial
  from runs
  cross join settings
  cross join clock
  union all
  select number, null, null, found.*
  from runs
  cross join lateral (
    select
      event_type,
      string_agg(int4send(length(state)) || state, ''::bytea),
      bool_or(state is null)
    from realtime_aggregates
    where size = runs.size
      and window_start >= begins
      and window_start < ends
    group by event_type
  ) as found
  union all
  select number, null, null, found.*
  from runs
  cross join lateral (
    select
      event_type,
      string_agg(int4send(length(state)) || state, ''::bytea),
      false
    from open_windows
    where window_start >= begins
      and window_start < ends
    group by event_type
  ) as found`;
