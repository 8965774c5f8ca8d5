/** Kept sessions and their counts per hour against raw events. */
import { instantText, type Sql } from "../sql.ts";
import { comparePairs } from "./compare-pairs.ts";
import type { Audited, AuditRange } from "./difference.ts";
import { RAW_SESSIONS } from "./raw-sessions.ts";

/** Sessions that start in the range; days of the spread where the range holds them whole. */
export async function auditSessions(
  moment: Sql,
  range: AuditRange,
  limit: number,
): Promise<Audited[]> {
  const values = [instantText(range.fromMicros), instantText(range.toMicros)];
  const audited: Audited[] = [];
  for (const [what, text] of Object.entries(TEXTS)) {
    audited.push(await comparePairs(moment, what, `${RAW_SESSIONS}, ${text}`, values, limit));
  }
  return audited;
}

// trim_scale: 1.50 and 1.5 are one number, but not one text.
const FIGURES = `jsonb_build_object(
        'ended_at', ended_at,
        'event_count', event_count,
        'purchases', purchases,
        'value_sum', trim_scale(value_sum),
        'revenue_cents', revenue_cents
      )`;

const SESSIONS = `
  expected as (
    select user_id, started_at, ${FIGURES} as figures
    from raw_session
  ),
  actual as (
    select user_id, started_at, ${FIGURES} as figures
    from kept_sessions
    where started_at >= $1
      and started_at < $2
  ),
  pair as (
    select
      user_id || ' ' || started_at as key,
      expected.figures as expected,
      actual.figures as actual
    from expected
    full join actual using (user_id, started_at)
  )`;

const COUNTS = `jsonb_build_array(sessions, with_purchase, events, duration_micros)`;

const HOURS = `
  expected as (
    select hour, ${COUNTS} as figures
    from (
      select
        date_trunc('hour', started_at, 'UTC') as hour,
        count(*) as sessions,
        count(*) filter (where purchases > 0) as with_purchase,
        sum(event_count) as events,
        sum(micros(ended_at) - micros(started_at)) as duration_micros
      from raw_session
      group by 1
    ) as counted
  ),
  actual as (
    select hour, ${COUNTS} as figures
    from session_hours
    where hour >= $1
      and hour < $2
      and (sessions, with_purchase, events, duration_micros) <> (0, 0, 0, 0)
  ),
  pair as (
    select hour::text as key, expected.figures as expected, actual.figures as actual
    from expected
    full join actual using (hour)
  )`;

// A day lies in the range where both its ends do.
const SPREAD = `
  expected as (
    select size, date_trunc(unit, started_at, 'UTC') as start, measure, bin, count(*) as sessions
    from raw_session
    cross join (values ('1h', 'hour'), ('1d', 'day')) as sizes (size, unit)
    cross join lateral (
      values ('events', event_count), ('duration', duration_bin(micros(ended_at) - micros(started_at)))
    ) as measured (measure, bin)
    group by 1, 2, 3, 4
  ),
  actual as (
    select size, start, measure, bin, sessions
    from session_spread
    where start >= $1
      and start < $2
      and sessions <> 0
  ),
  pair as (
    select
      concat_ws(' ', size, start, measure, bin) as key,
      expected.sessions as expected,
      actual.sessions as actual
    from expected
    full join actual using (size, start, measure, bin)
    where size = '1h'
       or (start >= $1 and start + interval '24 hours' <= $2)
  )`;

const TEXTS = { sessions: SESSIONS, "session hours": HOURS, "session spread": SPREAD };
