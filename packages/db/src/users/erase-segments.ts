/**
 * Distinct users of windows by segment and category, when a part of a user's events moves to another
 * id: where both ids are there afterwards there is one user more. Neither of them has a segment; counts
 * and sums stay, because the events do.
 */
import { SEGMENTS_FOLLOWER } from "../segments/refresh-segments.ts";
import type { Sql } from "../sql.ts";
import { countChanges, type Moving, type Settle, usersOf, wholeWindows } from "./moving.ts";

const DAY_MICROS = 86_400_000_000;

/** To be called before the events move; what it returns, after. */
export async function moveSegmentUsers(sql: Sql, moving: Moving): Promise<Settle> {
  const before = await readUsers(sql, moving);
  return async () => {
    const changes = countChanges(before, await readUsers(sql, moving));
    if (changes.size === 0) return;
    await sql.query(
      `update segment_windows
       set distinct_users = distinct_users + users
       from (
         select key::jsonb as key, users
         from unnest($1::text[], $2::bigint[]) as given (key, users)
       ) as change
       where by = key ->> 0
         and size = key ->> 1
         and window_start = to_timestamp(0) + (key ->> 2)::bigint * interval '1 microsecond'
         and "group" = key ->> 3
         and event_type = key ->> 4`,
      [[...changes.keys()], [...changes.values()]],
    );
  };
}

async function readUsers(sql: Sql, moving: Moving): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql.query<{ key: string; users: number }>(
    `select
       jsonb_build_array(by, size, micros(window_start), "group", counted_type)::text as key,
       count(distinct user_id) as users
     from (
       select distinct
         user_id,
         date_bin('1 hour', event_time, 'epoch') as hour,
         product_id,
         case when event_types.registered_at is null then 'other' else event_type end as counted_type
       from stream_events
       left join event_types using (event_type)
       where user_id = any ($1)
         and event_time >= $2
         and event_time < $3
         and tx < (select tx_cursor from leases where name = $4)
     ) as event
     left join product_categories using (product_id)
     cross join lateral (
       values ('segment', ''), ('category', coalesce(category, ''))
     ) as grouped (by, "group")
     cross join lateral (
       values
         ('1h', hour),
         ('1d', date_bin('1 day', hour, 'epoch'))
     ) as sized (size, window_start)
     group by by, size, window_start, "group", counted_type`,
    [usersOf(moving), ...wholeWindows(moving, DAY_MICROS), SEGMENTS_FOLLOWER],
  );
  return new Map(rows.map((row) => [row.key, row.users]));
}
