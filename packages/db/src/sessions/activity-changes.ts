/**
 * Which users some events show to be active where they were not before, by minute, hour and day: the
 * part of a statement that follows `sessionChanges`.
 *
 * Gaps of a session are at most 30 minutes, so that a user is active in an hour or day exactly where
 * one of his sessions overlaps it, and kept sessions tell who was. Within a session a minute may be
 * empty: only there the earlier events themselves are looked up.
 *
 * Days are counted with the user's active day before: then the users of any days [from, to) are those
 * whose day before lies before `from`, a sum of counts where a union of users would be needed.
 */
import { widenStretches, withinStretches } from "../followers/stretches.ts";
import { type EventPart, keptBefore } from "./session-changes.ts";

const MINUTE_MICROS = 60_000_000;

/** Whether no kept session of the row's user overlaps [start, end). */
const isNew = (row: string, start: string, end: string): string => `
  case
    when last_ended_at is null or last_ended_at < ${start} then true
    when last_started_at < ${end} then false
    else coalesce((${keptBefore(`ended_at < ${start}`, `${row}.user_id`, end)}), true)
  end`;

/** `minute_change`, `hour_change_of_users`, `day_change`; bounds are added to `values`. */
export function activityChanges(part: EventPart, values: unknown[]): string {
  const near = withinStretches(
    "event_time",
    widenStretches(part.stretches, MINUTE_MICROS, MINUTE_MICROS),
    values,
  );
  const fromTx = `$${values.push(part.fromTx)}`;
  return `
  minute_change as (
    select minute, count(*) as users
    from known
    cross join lateral unnest(minutes) as minute
    where case
      when last_ended_at is null or last_ended_at < minute then true
      when last_started_at < minute + interval '1 minute'
        and (last_started_at >= minute or last_ended_at < minute + interval '1 minute') then false
      else not exists (
        select
        from stream_events
        where user_id = known.user_id
          and event_time >= minute
          and event_time < minute + interval '1 minute'
          and tx < ${fromTx}
          and ${near}
      )
    end
    group by minute
  ),
  hour_seen as (
    select distinct user_id, hour, last_started_at, last_ended_at
    from known
    cross join lateral generate_series(
      date_bin('1 hour', started_at, 'epoch'), ended_at, interval '1 hour'
    ) as hour
  ),
  hour_change_of_users as (
    select hour, count(*) as users
    from hour_seen
    where ${isNew("hour_seen", "hour", "hour + interval '1 hour'")}
    group by hour
  ),
  day_seen as (
    select distinct user_id, day, last_started_at, last_ended_at
    from known
    cross join lateral generate_series(
      date_bin('1 day', started_at, 'epoch'), ended_at, interval '24 hours'
    ) as day
  ),
  new_day as materialized (
    select
      user_id,
      day,
      date_bin('1 day', case
        when last_started_at < day then last_ended_at
        when last_started_at is not null then (${keptBefore("ended_at", "day_seen.user_id", "day")})
      end, 'epoch') as kept_before,
      date_bin('1 day', case
        when last_started_at >= day then (
          select started_at
          from kept_sessions
          where user_id = day_seen.user_id
            and (user_id, started_at) >= (day_seen.user_id, day)
          order by user_id, started_at
          limit 1
        )
      end, 'epoch') as kept_after
    from day_seen
    where ${isNew("day_seen", "day", "day + interval '24 hours'")}
  ),
  linked_day as (
    select
      *,
      lag(day) over (partition by user_id order by day) as new_before,
      lead(day) over (partition by user_id order by day) as new_after
    from new_day
  ),
  day_link as (
    select 1 as sign, day, greatest(kept_before, new_before) as previous_day
    from linked_day
    union all
    select sign, kept_after, case sign when 1 then day else kept_before end
    from linked_day
    cross join (values (1), (-1)) as signs (sign)
    where kept_after < coalesce(new_after, 'infinity')
  ),
  day_change as (
    select
      (day at time zone 'UTC')::date as day,
      coalesce((previous_day at time zone 'UTC')::date, '-infinity') as previous_day,
      sum(sign)::bigint as users
    from day_link
    group by 1, 2
    having sum(sign) <> 0
  )`;
}
