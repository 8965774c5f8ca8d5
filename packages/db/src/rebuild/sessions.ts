/**
 * Kept sessions and their counts made again from raw events, while ingest and the follower go on.
 *
 * An hour is one transaction that holds the follower: sessions that start in it are replaced where they
 * differ from what raw events say, and the hour's counts are taken anew from them. A late event that
 * meets sessions half repaired can join what it should not, so the range is gone over until nothing
 * differs any more.
 */
import type { AuditRange } from "../audit/difference.ts";
import { RAW_SESSIONS } from "../audit/raw-sessions.ts";
import { holdingCrons } from "../leases.ts";
import { SESSIONS_FOLLOWER } from "../sessions/finish-sessions.ts";
import { instantText, type Pool, type Sql } from "../sql.ts";
import { hoursFrom } from "./hours.ts";

const MAX_PASSES = 3;

/** Sessions that start in the range; returns how many rows were changed. */
export async function rebuildSessions(
  pool: Pool,
  range: AuditRange,
  onProgress: (micros: number) => void,
): Promise<number> {
  let changed = 0;
  for (let pass = 1; pass <= MAX_PASSES; pass += 1) {
    const before = changed;
    for await (const hour of hoursFrom(pool, range)) {
      changed += await rebuildHour(pool, hour);
      onProgress(hour.toMicros);
    }
    if (changed === before) break;
  }
  return changed;
}

const rebuildHour = (pool: Pool, hour: AuditRange): Promise<number> =>
  holdingCrons(pool, [SESSIONS_FOLLOWER], async (client) => {
    const values = [instantText(hour.fromMicros), instantText(hour.toMicros)];
    let changed = 0;
    for (const text of [SESSIONS, HOUR, HOUR_SPREAD, DAY_SPREAD]) {
      changed += await rowsChanged(client, text, values);
    }
    return changed;
  });

async function rowsChanged(sql: Sql, text: string, values: readonly string[]): Promise<number> {
  const { rows } = await sql.query<{ changed: number }>(text, [...values]);
  return rows[0]?.changed ?? 0;
}

const COLUMNS = "user_id, started_at, ended_at, event_count, purchases, value_sum, revenue_cents";

// $1 and $2, of all that follow: the hour.
const SESSIONS = `
  with ${RAW_SESSIONS},
  kept as (
    select ctid as place, ${COLUMNS}
    from kept_sessions
    where started_at >= $1
      and started_at < $2
  ),
  wrong as (
    select
      user_id,
      started_at,
      case when raw_session.event_count is null then place end as extra
    from kept
    full join raw_session using (user_id, started_at)
    where (kept.ended_at, kept.event_count, kept.purchases, kept.value_sum, kept.revenue_cents)
      is distinct from
      (raw_session.ended_at, raw_session.event_count, raw_session.purchases, raw_session.value_sum, raw_session.revenue_cents)
  ),
  gone as (
    delete from kept_sessions
    where ctid = any (array(select extra from wrong))
  ),
  made as (
    insert into kept_sessions (${COLUMNS})
    select ${COLUMNS}
    from raw_session
    where (user_id, started_at) in (select user_id, started_at from wrong)
    on conflict (user_id, started_at) do update
    set ended_at      = excluded.ended_at,
        event_count   = excluded.event_count,
        purchases     = excluded.purchases,
        value_sum     = excluded.value_sum,
        revenue_cents = excluded.revenue_cents
  )
  select count(*) as changed from wrong`;

const HOUR = `
  with counted as (
    select
      $1::timestamptz as hour,
      count(*) as sessions,
      count(*) filter (where purchases > 0) as with_purchase,
      coalesce(sum(event_count), 0)::bigint as events,
      coalesce(sum(elapsed_micros(started_at, ended_at)), 0)::bigint as duration_micros
    from kept_sessions
    where started_at >= $1
      and started_at < $2
  ),
  written as (
    insert into session_hours as kept (hour, sessions, with_purchase, events, duration_micros)
    select hour, sessions, with_purchase, events, duration_micros
    from counted
    where sessions > 0
       or exists (select from session_hours where session_hours.hour = counted.hour)
    on conflict (hour) do update
    set sessions        = excluded.sessions,
        with_purchase   = excluded.with_purchase,
        events          = excluded.events,
        duration_micros = excluded.duration_micros
    where (kept.sessions, kept.with_purchase, kept.events, kept.duration_micros)
      <> (excluded.sessions, excluded.with_purchase, excluded.events, excluded.duration_micros)
    returning hour
  )
  select count(*) as changed from written`;

/** Replaces the rows of one size and start by `counted` (measure, bin, sessions), where they differ. */
const spreadText = (size: string, start: string, counted: string): string => `
  with counted as (
    ${counted}
  ),
  wrong as (
    select measure, bin, coalesce(counted.sessions, 0)::bigint as sessions
    from (
      select measure, bin, sessions
      from session_spread
      where size = '${size}'
        and start = ${start}
    ) as kept
    full join counted using (measure, bin)
    where coalesce(kept.sessions, 0) <> coalesce(counted.sessions, 0)
  ),
  written as (
    insert into session_spread (size, start, measure, bin, sessions)
    select '${size}', ${start}, measure, bin, sessions
    from wrong
    on conflict (size, start, measure, bin) do update
    set sessions = excluded.sessions
  )
  select count(*) as changed from wrong`;

const HOUR_SPREAD = spreadText(
  "1h",
  "$1::timestamptz",
  `select measure, bin, count(*) as sessions
    from kept_sessions
    cross join lateral (
      values ('events', event_count), ('duration', duration_bin(elapsed_micros(started_at, ended_at)))
    ) as measured (measure, bin)
    where started_at >= $1
      and started_at < $2
    group by 1, 2`,
);

// Of the hour's day, from the spread of its hours.
const DAY_START = "date_bin('1 day', $1::timestamptz, 'epoch')";
const DAY_SPREAD = spreadText(
  "1d",
  DAY_START,
  `select measure, bin, sum(sessions) as sessions
    from session_spread
    where size = '1h'
      and start >= ${DAY_START}
      and start < date_bin('1 day', $2::timestamptz - interval '1 hour', 'epoch') + interval '24 hours'
    group by 1, 2`,
);
