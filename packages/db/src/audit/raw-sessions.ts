/**
 * Gap sessions by plain SQL from raw events, as far as the follower has come: what kept sessions are
 * compared with and made again from. Nothing of it is shared with the follower.
 */

/**
 * `with raw_session` …: the sessions that start in [$1, $2). Events are read from half an hour before,
 * which tells whether a session began there, and beyond $2 for users whose kept session goes on; where
 * kept sessions lack one, the difference shows without that.
 */
export const RAW_SESSIONS = `
  reached as materialized (
    select
      coalesce((select tx_cursor from leases where name = 'finish-sessions'), 0) as tx,
      raw_from
    from clock
  ),
  seen as (
    select user_id, event_time, event_type, value, amount_cents
    from stream_events
    where event_time >= $1::timestamptz - interval '30 minutes'
      and event_time < $2::timestamptz
      and tx < (select tx from reached)
    union all
    select later.*
    from kept_sessions
    cross join lateral (
      select user_id, event_time, event_type, value, amount_cents
      from stream_events
      where user_id = kept_sessions.user_id
        and event_time >= $2::timestamptz
        and event_time <= kept_sessions.ended_at + interval '30 minutes'
        and tx < (select tx from reached)
      offset 0
    ) as later
    where started_at >= $1
      and started_at < $2
      and ended_at >= $2::timestamptz - interval '30 minutes'
  ),
  stepped as (
    select
      *,
      case
        when event_time - lag(event_time) over (partition by user_id order by event_time)
          <= interval '30 minutes' then 0
        else 1
      end as step
    from seen
  ),
  counted as (
    select
      *,
      sum(step) over (partition by user_id order by event_time) as session
    from stepped
  ),
  raw_session as materialized (
    select
      user_id,
      min(event_time) as started_at,
      max(event_time) as ended_at,
      count(*) as event_count,
      count(*) filter (where event_type = 'purchase') as purchases,
      sum(value::numeric) as value_sum,
      coalesce(sum(amount_cents) filter (where event_type = 'purchase'), 0)::bigint as revenue_cents
    from counted
    group by user_id, session
    having min(event_time) >= $1
      -- What began before raw events do is kept, and cannot be seen whole.
      and not (
        min(event_time) <= (select raw_from from reached) + interval '30 minutes'
        and exists (
          select
          from kept_sessions
          where kept_sessions.user_id = counted.user_id
            and kept_sessions.started_at < (select raw_from from reached)
            and kept_sessions.ended_at >= min(counted.event_time) - interval '30 minutes'
        )
      )
  )`;

/**
 * `with raw_day` …: the users of the whole days [$1, $2) by raw events, each with the active day
 * before. That is told by kept sessions, which are compared themselves: raw events do not reach back
 * for ever.
 */
export const RAW_DAYS = `
  raw_user as (
    select distinct
      (event_time at time zone 'UTC')::date as day,
      user_id
    from stream_events
    where event_time >= $1::timestamptz
      and event_time < $2::timestamptz
      and tx < coalesce((select tx_cursor from leases where name = 'finish-sessions'), 0)
  ),
  raw_day as materialized (
    select
      day,
      case
        when before.day_of_end is null then '-infinity'::date
        else least(before.day_of_end, day - 1)
      end as previous_day,
      count(*) as users
    from raw_user
    left join lateral (
      select (ended_at at time zone 'UTC')::date as day_of_end
      from kept_sessions
      where kept_sessions.user_id = raw_user.user_id
        and started_at < day::timestamp at time zone 'UTC'
      order by kept_sessions.user_id desc, started_at desc
      limit 1
    ) as before on true
    group by 1, 2
  )`;

/** `with raw_activity` …: users of each minute and hour in the whole hours [$1, $2). */
export const RAW_ACTIVITY = `
  raw_activity as materialized (
    select
      by,
      date_trunc(by, event_time, 'UTC') as start,
      count(distinct user_id) as users
    from stream_events
    cross join (values ('minute'), ('hour')) as periods (by)
    where event_time >= $1::timestamptz
      and event_time < $2::timestamptz
      and tx < coalesce((select tx_cursor from leases where name = 'finish-sessions'), 0)
    group by 1, 2
  )`;
