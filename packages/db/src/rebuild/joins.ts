/**
 * What is finished of interval joins made again from raw events, while ingest and the follower go on.
 *
 * Hour by hour, each in one transaction that keeps the follower out: readers find an hour as it was
 * or as it is right, and what is open is none of it.
 */
import type { AuditRange } from "../audit/difference.ts";
import { PLAIN_JOIN, plainJoins } from "../audit/joins.ts";
import { JOINS_FOLLOWER } from "../joins/find-joins.ts";
import { holdingCrons } from "../leases.ts";
import type { Pool } from "../sql.ts";
import { hoursFrom } from "./hours.ts";

/** Of the joins that answer; `range` in whole hours. Returns how many rows were changed. */
export async function rebuildJoins(
  pool: Pool,
  range: AuditRange,
  onProgress: (micros: number) => void,
): Promise<number> {
  let changed = 0;
  for await (const hour of hoursFrom(pool, range)) {
    changed += await rebuildHour(pool, hour);
    onProgress(hour.toMicros);
  }
  return changed;
}

function rebuildHour(pool: Pool, hour: AuditRange): Promise<number> {
  return holdingCrons(pool, [JOINS_FOLLOWER], async (client) => {
    let changed = 0;
    for (const { values } of await plainJoins(client, hour)) {
      const { rows } = await client.query<{ changed: number }>(REPLACE, [...values]);
      changed += rows[0]?.changed ?? 0;
    }
    return changed;
  });
}

const REPLACE = `
  with ${PLAIN_JOIN},
  deleted_lefts as (
    delete from join_lefts
    where join_id = $1
      and left_time >= $5
      and left_time < $6
      and not exists (
        select
        from plain_lefts
        where plain_lefts.left_time = join_lefts.left_time
          and plain_lefts.left_event_id = join_lefts.left_event_id
      )
    returning 1
  ),
  stored_lefts as (
    insert into join_lefts as kept (join_id, left_time, left_event_id, user_id)
    select $1, left_time, left_event_id, user_id
    from plain_lefts
    order by left_time, left_event_id
    on conflict (join_id, left_time, left_event_id) do update
    set user_id = excluded.user_id
    where kept.user_id <> excluded.user_id
    returning 1
  ),
  deleted_rights as (
    delete from join_rights
    where join_id = $1
      and right_time >= $5
      and right_time < $6
      and not exists (
        select
        from plain_rights
        where plain_rights.right_time = join_rights.right_time
          and plain_rights.right_event_id = join_rights.right_event_id
          and plain_rights.user_id = join_rights.user_id
      )
    returning 1
  ),
  stored_rights as (
    insert into join_rights (join_id, user_id, right_time, right_event_id)
    select $1, user_id, right_time, right_event_id
    from plain_rights
    order by user_id, right_time, right_event_id
    on conflict do nothing
    returning 1
  ),
  deleted_counts as (
    delete from join_counts
    where join_id = $1
      and window_start >= $5
      and window_start < $6
      and not exists (
        select
        from plain_counts
        where plain_counts.size = join_counts.size
          and plain_counts.window_start = join_counts.window_start
      )
    returning 1
  ),
  stored_counts as (
    insert into join_counts as kept (join_id, size, window_start, matches, not_listed)
    select $1, size, window_start, matches, not_listed
    from plain_counts
    order by size, window_start
    on conflict (join_id, size, window_start) do update
    set matches = excluded.matches,
        not_listed = excluded.not_listed
    where (kept.matches, kept.not_listed) <> (excluded.matches, excluded.not_listed)
    returning 1
  )
  select
    (select count(*) from deleted_lefts) + (select count(*) from stored_lefts)
    + (select count(*) from deleted_rights) + (select count(*) from stored_rights)
    + (select count(*) from deleted_counts) + (select count(*) from stored_counts) as changed`;
