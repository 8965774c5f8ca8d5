/**
 * Interval joins recomputed from raw events: which left and right events have a partner, and how many
 * pairs begin in each minute and hour.
 *
 * Partners are counted as the difference of two running sums over one user's time, the one before the
 * left event and the one at the end of its limit; the follower slides a frame.
 */
import { JOINS_FOLLOWER } from "../joins/find-joins.ts";
import { boundText } from "../joins/join-changes.ts";
import { rawFromOf } from "../rebuild/raw-from.ts";
import type { Sql } from "../sql.ts";
import { comparePairs } from "./compare-pairs.ts";
import type { Audited, AuditRange } from "./difference.ts";

/** A join that answers, and the first parameters of a statement that begins with `PLAIN_JOIN`. */
export interface PlainJoin {
  readonly name: string;
  readonly values: readonly unknown[];
}

/** In the part of the range of which there are raw events; none where there are none. */
export async function plainJoins(moment: Sql, range: AuditRange): Promise<PlainJoin[]> {
  const oldest = await rawFromOf(moment);
  const fromMicros = Math.max(range.fromMicros, oldest);
  if (fromMicros >= range.toMicros) return [];
  const { rows } = await moment.query<Record<string, unknown> & { name: string }>(
    `select
       joins.*,
       coalesce((select tx_cursor from leases where leases.name = $1), 0) as cut
     from joins
     where state = 'active'
     order by name`,
    [JOINS_FOLLOWER],
  );
  return rows.map((row) => ({
    name: row.name,
    values: [
      row.join_id,
      row.left_type,
      row.right_type,
      `${Number(row.within_micros)} microseconds`,
      boundText(fromMicros),
      boundText(range.toMicros),
      row.cut,
      boundText(oldest),
    ],
  }));
}

/**
 * `plain_lefts`, `plain_rights` and `plain_counts`, with the columns of the kept tables. $1 join, $2
 * left type, $3 right type, $4 limit, $5 and $6 the stretch [from, to), $7 the cut, $8 where raw events
 * begin: left events before that are known from what is kept alone.
 */
export const PLAIN_JOIN = `
  half as materialized (
    select
      user_id,
      event_time as time,
      event_id,
      event_type = $2::text as is_left,
      event_type = $3::text as is_right
    from stream_events
    where event_type in ($2, $3)
      and event_time >= greatest($5::timestamptz - $4::interval, $8::timestamptz)
      and event_time < $6::timestamptz + $4::interval
      and tx < $7::bigint
    union all
    select user_id, left_time, left_event_id, true, false
    from join_lefts
    where join_id = $1::integer
      and left_time >= $5::timestamptz - $4::interval
      and left_time < $8::timestamptz
  ),
  right_so_far as (
    select time, event_id, user_id, sum(found) over (partition by user_id order by at, place rows unbounded preceding) as rights
    from (
      select time, event_id, user_id, time as at, 0 as place, 0 as found from half where is_left
      union all
      select time, event_id, user_id, time + $4::interval, 2, 0 from half where is_left
      union all
      select null, null, user_id, time, 1, 1 from half where is_right
    ) as point
  ),
  plain_lefts as materialized (
    select
      time as left_time,
      event_id as left_event_id,
      user_id,
      max(rights) - min(rights) - ($2::text = $3::text)::integer as rights
    from right_so_far
    where time >= $5
      and time < $6
    group by time, event_id, user_id
    having max(rights) - min(rights) > ($2::text = $3::text)::integer
  ),
  left_so_far as (
    select time, event_id, user_id, sum(found) over (partition by user_id order by at, place rows unbounded preceding) as lefts
    from (
      select time, event_id, user_id, time - $4::interval as at, 0 as place, 0 as found from half where is_right
      union all
      select time, event_id, user_id, time, 2, 0 from half where is_right
      union all
      select null, null, user_id, time, 1, 1 from half where is_left
    ) as point
  ),
  plain_rights as materialized (
    select time as right_time, event_id as right_event_id, user_id
    from left_so_far
    where time >= $5
      and time < $6
    group by time, event_id, user_id
    having max(lefts) - min(lefts) > ($2::text = $3::text)::integer
  ),
  plain_counts as materialized (
    select
      size,
      date_trunc(unit, left_time) as window_start,
      sum(least(rights, 1000))::bigint as matches,
      sum(greatest(rights - 1000, 0))::bigint as not_listed
    from plain_lefts
    cross join (values ('1m', 'minute'), ('1h', 'hour')) as sizes (size, unit)
    group by 1, 2
  )`;

const COMPARED = `
  ${PLAIN_JOIN},
  pair as materialized (
    select
      'left event ' || left_event_id || ' at ' || left_time as key,
      plain_lefts.user_id as expected,
      kept.user_id as actual
    from plain_lefts
    full join (
      select left_time, left_event_id, user_id
      from join_lefts
      where join_id = $1 and left_time >= $5 and left_time < $6
    ) as kept using (left_time, left_event_id)
    union all
    select
      'right event ' || right_event_id || ' at ' || right_time,
      plain_rights.user_id,
      kept.user_id
    from plain_rights
    full join (
      select right_time, right_event_id, user_id
      from join_rights
      where join_id = $1 and right_time >= $5 and right_time < $6
    ) as kept using (right_time, right_event_id, user_id)
    union all
    select
      size || ' from ' || window_start,
      plain_counts.matches || ' and ' || plain_counts.not_listed || ' not listed',
      kept.matches || ' and ' || kept.not_listed || ' not listed'
    from plain_counts
    full join (
      select size, window_start, matches, not_listed
      from join_counts
      where join_id = $1 and window_start >= $5 and window_start < $6
    ) as kept using (size, window_start)
  )`;

/** In the caller's snapshot. `limit`: differences listed for each join. */
export async function auditJoins(
  moment: Sql,
  range: AuditRange,
  limit: number,
): Promise<Audited[]> {
  const audited: Audited[] = [];
  for (const { name, values } of await plainJoins(moment, range)) {
    audited.push(await comparePairs(moment, `join ${name}`, COMPARED, values, limit));
  }
  return audited;
}
