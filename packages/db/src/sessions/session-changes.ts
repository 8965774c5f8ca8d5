/**
 * What some events change in the kept sessions, as the beginning of a statement: sessions that they
 * touch, and the sessions that come of both.
 *
 * Gap sessions (30 min; a gap of exactly 30 minutes ends none) are what is left when intervals less
 * than that apart are joined, so joining the events' own sessions with the kept ones that lie near
 * gives what all events together would. The follower applies the change, and a report adds it to the
 * kept rows of its snapshot: one formulation for both.
 */
import { type Stretch, withinStretches } from "../followers/stretches.ts";

/** Which events: of transactions from `fromTx` on, below `toTx` where that is given. */
export interface EventPart {
  readonly fromTx: number;
  readonly toTx?: number;
  readonly stretches: readonly Stretch[];
  /** Only of this user. */
  readonly userId?: string;
}

const GAP = "interval '30 minutes'";

/** The condition on stream_events; its bounds are added to `values`. */
export function ofPart(part: EventPart, values: unknown[]): string {
  const held = (value: unknown): string => `$${values.push(value)}`;
  const conditions = [`tx >= ${held(part.fromTx)}`];
  if (part.toTx !== undefined) conditions.push(`tx < ${held(part.toTx)}`);
  if (part.userId !== undefined) conditions.push(`user_id = ${held(part.userId)}`);
  conditions.push(withinStretches("event_time", part.stretches, values));
  return conditions.join(" and ");
}

/**
 * The kept session of a user with the greatest start before `bound`. Compared as a row, because only
 * the primary key serves that: the index by start never looks better, however old statistics are.
 */
export const keptBefore = (
  columns: string,
  user: string,
  bound: string,
  operator = "<",
): string => `
  select ${columns}
  from kept_sessions
  where user_id = ${user}
    and (user_id, started_at) ${operator} (${user}, ${bound})
  order by user_id desc, started_at desc
  limit 1`;

const SESSION = [
  "started_at",
  "ended_at",
  "event_count",
  "purchases",
  "value_sum",
  "revenue_cents",
] as const;
const COLUMNS = `user_id, ${SESSION.join(", ")}`;

/**
 * An island whose user has no other one and that begins in or behind the user's last session, near
 * enough to continue it: the common case, which touches nothing else. What lies before the last session
 * ends more than a gap before that begins.
 */
const CONTINUES = `islands = 1
        and last_ended_at >= started_at - ${GAP}
        and last_started_at <= started_at`;

/**
 * `with` …: `known` has the sessions that the events make by themselves (islands), each with the last
 * session kept of its user (mostly the only one that needs to be looked up) and the minutes that hold an
 * event; `touched` the kept sessions that change, `merged` what takes their place.
 *
 * Materialised where the planner, with statistics that lag behind, could read by the wrong index.
 */
export const sessionChanges = (condition: string): string => `
  with event as materialized (
    select
      user_id,
      event_time,
      value,
      amount_cents,
      event_type = 'purchase' as is_purchase
    from stream_events
    where ${condition}
  ),
  spaced as (
    select
      *,
      lag(event_time) over (partition by user_id order by event_time) as previous_time
    from event
  ),
  numbered as (
    select
      *,
      count(*) filter (where previous_time is null or event_time > previous_time + ${GAP})
        over (partition by user_id order by event_time rows unbounded preceding) as number,
      count(*) filter (where previous_time is null or event_time > previous_time + ${GAP})
        over (partition by user_id) as islands
    from spaced
  ),
  island as (
    select
      user_id,
      islands,
      min(event_time) as started_at,
      max(event_time) as ended_at,
      count(*) as event_count,
      count(*) filter (where is_purchase) as purchases,
      sum(value::numeric) as value_sum,
      coalesce(sum(amount_cents) filter (where is_purchase), 0)::bigint as revenue_cents,
      array_agg(date_bin('1 minute', event_time, 'epoch')) filter (
        where previous_time is null or previous_time < date_bin('1 minute', event_time, 'epoch')
      ) as minutes
    from numbered
    group by user_id, number, islands
  ),
  known as materialized (
    select
      island.*,
      last.place as last_place,
      ${SESSION.map((column) => `last.${column} as last_${column}`).join(",\n      ")}
    from island
    left join lateral (
      ${keptBefore(`ctid as place, ${SESSION.join(", ")}`, "island.user_id", "'infinity'")}
    ) as last on true
  ),
  tangled as materialized (
    select *
    from known
    where last_ended_at >= started_at - ${GAP}
      and not (${CONTINUES})
  ),
  touched_place as (
    select near.place
    from tangled
    cross join lateral (
      select place
      from (
        ${keptBefore("ctid as place, ended_at", "tangled.user_id", `tangled.started_at - ${GAP}`, "<=")}
      ) as before
      where before.ended_at >= tangled.started_at - ${GAP}
      union all
      select ctid
      from kept_sessions
      where user_id = tangled.user_id
        and (user_id, started_at) > (tangled.user_id, tangled.started_at - ${GAP})
        and (user_id, started_at) <= (tangled.user_id, tangled.ended_at + ${GAP})
    ) as near
  ),
  near_session as materialized (
    select ctid as place, ${COLUMNS}
    from kept_sessions
    where ctid = any (array(select place from touched_place))
  ),
  touched as materialized (
    select
      last_place as place,
      user_id,
      ${SESSION.map((column) => `last_${column} as ${column}`).join(",\n      ")}
    from known
    where ${CONTINUES}
    union all
    select place, ${COLUMNS}
    from near_session
  ),
  piece as (
    select ${COLUMNS}
    from tangled
    union all
    select ${COLUMNS}
    from near_session
  ),
  reached as (
    select
      *,
      max(ended_at) over (
        partition by user_id
        order by started_at
        rows between unbounded preceding and 1 preceding
      ) as reached_at
    from piece
  ),
  joined as (
    select
      *,
      count(*) filter (where reached_at is null or started_at > reached_at + ${GAP})
        over (partition by user_id order by started_at rows unbounded preceding) as number
    from reached
  ),
  merged as materialized (
    select
      user_id,
      min(started_at) as started_at,
      max(ended_at) as ended_at,
      sum(event_count)::bigint as event_count,
      sum(purchases)::bigint as purchases,
      sum(value_sum) as value_sum,
      sum(revenue_cents)::bigint as revenue_cents
    from joined
    group by user_id, number
    union all
    select
      user_id,
      last_started_at,
      greatest(ended_at, last_ended_at),
      event_count + last_event_count,
      purchases + last_purchases,
      case
        when value_sum is null then last_value_sum
        else value_sum + coalesce(last_value_sum, 0)
      end,
      revenue_cents + last_revenue_cents
    from known
    where ${CONTINUES}
    union all
    select ${COLUMNS}
    from known
    where last_ended_at is null
       or last_ended_at < started_at - ${GAP}
  )`;

/** Sessions by the hour of their start, and their spread: what `change` (sign 1 or -1) adds. */
export const SESSION_COUNT_CHANGES = `
  hour_change as materialized (
    select
      date_bin('1 hour', started_at, 'epoch') as hour,
      sum(sign)::bigint as sessions,
      coalesce(sum(sign) filter (where purchases > 0), 0)::bigint as with_purchase,
      sum(sign * event_count)::bigint as events,
      sum(sign * duration_micros)::bigint as duration_micros
    from change
    group by 1
  ),
  hour_spread_change as materialized (
    select
      date_bin('1 hour', started_at, 'epoch') as start,
      'events' as measure,
      event_count as bin,
      sum(sign)::bigint as sessions
    from change
    group by 1, 3
    having sum(sign) <> 0
    union all
    select
      date_bin('1 hour', started_at, 'epoch'),
      'duration',
      duration_bin(duration_micros),
      sum(sign)::bigint
    from change
    group by 1, 3
    having sum(sign) <> 0
  ),
  spread_change as (
    select '1h' as size, start, measure, bin, sessions
    from hour_spread_change
    union all
    select '1d', date_bin('1 day', start, 'epoch'), measure, bin, sum(sessions)::bigint
    from hour_spread_change
    group by 2, 3, 4
    having sum(sessions) <> 0
  )`;

/** The table of `change`: what is taken away and what is added. */
export const SESSION_CHANGE = `
  change as (
    select
      1 as sign,
      started_at,
      event_count,
      purchases,
      elapsed_micros(started_at, ended_at) as duration_micros
    from merged
    union all
    select -1, started_at, event_count, purchases, elapsed_micros(started_at, ended_at)
    from touched
  )`;
