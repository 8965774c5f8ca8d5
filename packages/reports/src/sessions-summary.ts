/**
 * GET /v1/reports/sessions/summary: how many sessions start in a range, and how long they are.
 *
 * Whole hours come from counts per hour and day, what is left of the range at its ends from the
 * sessions themselves, and what came since the follower's last run is added in the same snapshot.
 * Counts and sums are exact; a quantile is the duration of rank ⌊q(n−1)⌋ within 1 %.
 */
import {
  instantText,
  ofPart,
  openPart,
  SESSION_CHANGE,
  SESSIONS_FOLLOWER,
  sessionChanges,
} from "@headrace/db";
import { floorTo, WINDOW_MICROS } from "@headrace/windows";
import * as z from "zod";
import { Count, Figure } from "./answer.ts";
import type { ReportSql } from "./report-sql.ts";

export const SessionsSummaryAnswer = z.strictObject({
  sessions: Count,
  with_purchase: Count,
  events: Count,
  total_duration_seconds: z.number().min(0),
  duration_p50_seconds: Figure,
  duration_p95_seconds: Figure,
  /** The most events of one session. */
  events_max: Count,
});
export type SessionsSummaryAnswer = z.output<typeof SessionsSummaryAnswer>;

/** Sessions that start in [from, to), µs. */
export interface SessionsSummaryQuery {
  readonly fromMicros: number;
  readonly toMicros: number;
}

interface Row extends Record<string, unknown> {
  readonly sessions: number;
  readonly with_purchase: number;
  readonly events: number;
  readonly duration_seconds: number;
  readonly bin_p50: number | null;
  readonly bin_p95: number | null;
  readonly events_max: number;
}

export async function readSessionsSummary(
  sql: ReportSql,
  query: SessionsSummaryQuery,
): Promise<SessionsSummaryAnswer> {
  const row = await sql.snapshot(async (moment) => {
    const values: unknown[] = partsOf(query).map(instantText);
    const changes = sessionChanges(ofPart(await openPart(moment, SESSIONS_FOLLOWER), values));
    const { rows } = await moment.query<Row>(`${changes}, ${SESSION_CHANGE}, ${SUMMARY}`, values);
    return rows[0] as Row;
  });
  return {
    sessions: row.sessions,
    with_purchase: row.with_purchase,
    events: row.events,
    total_duration_seconds: row.duration_seconds,
    duration_p50_seconds: secondsOf(row.bin_p50),
    duration_p95_seconds: secondsOf(row.bin_p95),
    events_max: row.events_max,
  };
}

/**
 * from, the first whole hour, the first whole day, the end of the last whole day, the end of the last
 * whole hour, to: in this order, with nothing between two of them where nothing is whole.
 */
function partsOf({ fromMicros, toMicros }: SessionsSummaryQuery): number[] {
  const [firstHour, hoursEnd] = wholeWithin(fromMicros, toMicros, WINDOW_MICROS["1h"]);
  const [firstDay, daysEnd] = wholeWithin(firstHour, hoursEnd, WINDOW_MICROS["1d"]);
  return [fromMicros, firstHour, firstDay, daysEnd, hoursEnd, toMicros];
}

function wholeWithin(from: number, to: number, width: number): readonly [number, number] {
  const first = -floorTo(-from, width);
  return first <= to ? [first, floorTo(to, width)] : [to, to];
}

/** The harmonic mean of the ends of a bin of `duration_bin`: within 0.8 % of every duration in it. */
function secondsOf(bin: number | null): number | null {
  if (bin === null) return null;
  const [low, high] = [leastOf(bin), leastOf(bin + 1)];
  return bin === 0 ? 0 : (2 * low * high) / (low + high) / 1_000_000;
}

/** The number whose first 18 bits are the bin, the others 0. */
function leastOf(bin: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, bin << 14);
  return view.getFloat64(0);
}

// $1 to $6: the range in parts, see `partsOf`.
const SUMMARY = `
  listed as (
    select
      1 as sign,
      event_count,
      purchases,
      elapsed_micros(started_at, ended_at) as duration_micros
    from kept_sessions
    where started_at >= $1
      and started_at < $2
    union all
    select 1, event_count, purchases, elapsed_micros(started_at, ended_at)
    from kept_sessions
    where started_at >= $5
      and started_at < $6
    union all
    select sign, event_count, purchases, duration_micros
    from change
    where started_at >= $1
      and started_at < $6
  ),
  total as (
    select
      coalesce(sum(sessions), 0)::bigint as sessions,
      coalesce(sum(with_purchase), 0)::bigint as with_purchase,
      coalesce(sum(events), 0)::bigint as events,
      (coalesce(sum(duration_micros), 0) / 1000000)::double precision as duration_seconds
    from (
      select sessions, with_purchase, events, duration_micros
      from session_hours
      where hour >= $2
        and hour < $5
      union all
      select
        sign,
        case when purchases > 0 then sign else 0 end,
        sign * event_count,
        sign * duration_micros
      from listed
    ) as counted
  ),
  spread as (
    select measure, bin, sum(sessions) as sessions
    from (
      select measure, bin, sessions
      from session_spread
      where size = '1h'
        and (start >= $2 and start < $3 or start >= $4 and start < $5)
      union all
      select measure, bin, sessions
      from session_spread
      where size = '1d'
        and start >= $3
        and start < $4
      union all
      select measure, bin, sign
      from listed
      cross join lateral (
        values
          ('events', event_count),
          ('duration', duration_bin(duration_micros))
      ) as measured (measure, bin)
    ) as counted
    group by measure, bin
    having sum(sessions) <> 0
  ),
  ranked as (
    select measure, bin, sum(sessions) over (partition by measure order by bin) as reached
    from spread
  )
  select
    total.sessions,
    with_purchase,
    events,
    duration_seconds,
    min(bin) filter (where measure = 'duration' and reached > floor(0.5 * (total.sessions - 1))) as bin_p50,
    min(bin) filter (where measure = 'duration' and reached > floor(0.95 * (total.sessions - 1))) as bin_p95,
    coalesce(max(bin) filter (where measure = 'events'), 0) as events_max
  from total
  left join ranked on true
  group by total.sessions, with_purchase, events, duration_seconds`;
