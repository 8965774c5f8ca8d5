/**
 * Partners and counts of interval joins, when a part of a user's events moves to another id: pairs of
 * an event that moves and one that stays are none afterwards, and may be pairs again when the other
 * has moved too.
 */
import { JOINS_FOLLOWER } from "../joins/find-joins.ts";
import { MAX_LISTED } from "../joins/join-changes.ts";
import { instantText, type Sql } from "../sql.ts";
import { type Moving, usersOf } from "./moving.ts";

interface Join extends Record<string, unknown> {
  readonly join_id: number;
  readonly left_type: string;
  readonly right_type: string;
  readonly within_micros: number;
}

/** To be called after the events have moved, in their transaction. Every join is filled. */
export async function moveJoins(sql: Sql, moving: Moving): Promise<void> {
  const { rows: joins } = await sql.query<Join>(
    "select join_id, left_type, right_type, within_micros from joins order by join_id",
  );
  for (const join of joins) await moveJoin(sql, moving, join);
}

const BEHIND = `
        order by event_time
        range between current row and $6::bigint * interval '1 microsecond' following`;
const AHEAD = `
        order by event_time
        range between $6::bigint * interval '1 microsecond' preceding and current row`;

// $1 the user's old and new id, $2 and $3 types, $4 to $5 the part that moves, $6 limit, $7 join.
// What moved is what this transaction wrote. Frames that slide over a user's time count the partners
// of n events in n steps, however many pairs they make; only events that lose their last partner, find
// their first, or have moved, are looked up.
const MOVE = `
  with event as materialized (
    select
      case when has_moved then ($1::text[])[1] else user_id end as old_user,
      user_id,
      event_id,
      event_time,
      event_type = $2 as is_left,
      event_type = $3 as is_right,
      has_moved
    from (
      select
        user_id,
        event_id,
        event_time,
        event_type,
        xmin = pg_current_xact_id()::xid as has_moved
      from stream_events
      where user_id = any ($1)
        and event_time >= $4::timestamptz - $6::bigint * interval '1 microsecond'
        and event_time <= $5::timestamptz + $6::bigint * interval '1 microsecond'
        and tx < (select tx_cursor from leases where name = '${JOINS_FOLLOWER}')
      offset 0
    ) as near
    where event_type in ($2, $3)
  ),
  partner as materialized (
    select
      old_user,
      user_id,
      event_id,
      event_time,
      has_moved,
      is_left and event_time between raw_from and $5 as is_left,
      is_right and event_time >= $4 as is_right,
      count(*) filter (where is_right) over (partition by old_user ${BEHIND}) - (is_left and is_right)::integer
        as rights_before,
      count(*) filter (where is_right) over (partition by user_id ${BEHIND}) - (is_left and is_right)::integer
        as rights,
      count(*) filter (where is_left) over (partition by old_user ${AHEAD}) - (is_left and is_right)::integer
        as lefts_before,
      count(*) filter (where is_left) over (partition by user_id ${AHEAD}) - (is_left and is_right)::integer
        as lefts
    from event
    cross join clock
  ),
  lefts_gone as (
    delete from join_lefts
    using partner
    where join_id = $7
      and left_time = event_time
      and left_event_id = event_id
      and is_left
      and rights_before > 0
      and rights = 0
  ),
  lefts_kept as (
    insert into join_lefts (join_id, left_time, left_event_id, user_id)
    select $7, event_time, event_id, user_id
    from partner
    where is_left
      and rights > 0
      and (has_moved or rights_before = 0)
    on conflict (join_id, left_time, left_event_id) do update
    set user_id = excluded.user_id
  ),
  rights_gone as (
    delete from join_rights
    using partner
    where join_id = $7
      and join_rights.user_id = old_user
      and right_time = event_time
      and right_event_id = event_id
      and is_right
      and lefts_before > 0
      and (has_moved or lefts = 0)
  ),
  rights_kept as (
    insert into join_rights (join_id, user_id, right_time, right_event_id)
    select $7, user_id, event_time, event_id
    from partner
    where is_right
      and lefts > 0
      and (has_moved or lefts_before = 0)
  ),
  change as (
    select
      event_time,
      least(rights, ${MAX_LISTED}) - least(rights_before, ${MAX_LISTED}) as matches,
      greatest(rights - ${MAX_LISTED}, 0) - greatest(rights_before - ${MAX_LISTED}, 0) as not_listed
    from partner
    where is_left
      and rights <> rights_before
  ),
  window_change as (
    select
      size,
      date_bin(width, event_time, timestamptz 'epoch') as window_start,
      sum(matches)::bigint as matches,
      sum(not_listed)::bigint as not_listed
    from change
    cross join (values ('1m', interval '1 minute'), ('1h', interval '1 hour')) as sizes (size, width)
    group by 1, 2
  )
  update join_counts
  set matches    = join_counts.matches + window_change.matches,
      not_listed = join_counts.not_listed + window_change.not_listed
  from window_change
  where join_id = $7
    and join_counts.size = window_change.size
    and join_counts.window_start = window_change.window_start`;

async function moveJoin(sql: Sql, moving: Moving, join: Join): Promise<void> {
  await sql.query(MOVE, [
    usersOf(moving),
    join.left_type,
    join.right_type,
    instantText(moving.fromMicros),
    instantText(moving.toMicros),
    join.within_micros,
    join.join_id,
  ]);
}

/**
 * Left events from before raw events are kept move as they stand, and then right ones; counts stay.
 * Returns how many, at most `limit`. A user's right events lead to the left ones.
 */
export async function renameOldPartners(
  sql: Sql,
  { userId, newUserId }: Pick<Moving, "userId" | "newUserId">,
  limit: number,
): Promise<number> {
  const lefts = await sql.query(
    `update join_lefts
     set user_id = $2
     where (join_id, left_time, left_event_id) in (
       select distinct join_id, left_time, left_event_id
       from join_rights
       join joins using (join_id)
       join join_lefts using (join_id)
       where join_rights.user_id = $1
         and join_lefts.user_id = $1
         and left_time between right_time - within_micros * interval '1 microsecond' and right_time
         and left_time < (select raw_from from clock)
       limit $3
     )`,
    [userId, newUserId, limit],
  );
  if (lefts.rowCount === limit) return limit;
  const rights = await sql.query(
    `update join_rights
     set user_id = $2
     where (join_id, user_id, right_time, right_event_id) in (
       select join_id, user_id, right_time, right_event_id
       from join_rights
       where user_id = $1
         and right_time < (select raw_from from clock)
       limit $3
     )`,
    [userId, newUserId, limit],
  );
  return (lefts.rowCount ?? 0) + (rights.rowCount ?? 0);
}

/** Right events whose only left ones are that old: they follow their raw event. */
export async function renameLeftPartners(
  sql: Sql,
  { userId, newUserId }: Pick<Moving, "userId" | "newUserId">,
): Promise<void> {
  await sql.query(
    `update join_rights
     set user_id = $2
     from clock
     where join_rights.user_id = $1
       and join_id = any (array(select join_id from joins))
       and right_time between raw_from and raw_from + interval '1 day'
       and exists (
         select
         from stream_events
         where event_id = right_event_id
           and event_time = right_time
           and stream_events.user_id = $2
       )`,
    [userId, newUserId],
  );
}
