/**
 * The follower `find-joins`: finds the partners of new events, fills newly declared joins from
 * history, and deletes what is left of retired ones.
 *
 * The finished part of a join holds the partners of all left events from its `filled_from` on among
 * the events below the cursor. New events are looked at for these left events alone; filling moves
 * `filled_from` back, from the newest left event to the oldest, and takes all events below the cursor.
 * Both hold the same lease row, so each sees the other's result whole.
 */
import { followSlice, hasSlice, type Slice } from "../followers/follow.ts";
import type { Stretch } from "../followers/stretches.ts";
import { type Lease, requireCursor } from "../leases.ts";
import { type Client, inTransaction, type Pool, type Sql } from "../sql.ts";
import { type AddedEvents, boundText, type JoinScope, joinChanges } from "./join-changes.ts";

export const JOINS_FOLLOWER = "find-joins";

/** The next slice's pairs; undefined when there is none. `limit`: events, as `followSlice` takes it. */
export function findJoins(pool: Pool, lease: Lease, limit: number): Promise<Slice | undefined> {
  return followSlice(pool, lease, limit, async (client, slice) => {
    await storeChanges(client, await readScopes(client), slice);
  });
}

async function storeChanges(
  sql: Sql,
  scopes: readonly JoinScope[],
  added: AddedEvents,
): Promise<void> {
  const changes = await joinChanges(sql, scopes, added);
  if (changes === undefined) return;
  await sql.query(
    `with ${changes.text},
     stored_lefts as (
       insert into join_lefts (join_id, left_time, left_event_id, user_id)
       select join_id, left_time, left_event_id, user_id
       from new_lefts
       order by join_id, left_time, left_event_id
       on conflict do nothing
     ),
     stored_rights as (
       insert into join_rights (join_id, user_id, right_time, right_event_id)
       select join_id, user_id, right_time, right_event_id
       from new_rights
       order by join_id, user_id, right_time, right_event_id
       on conflict do nothing
     )
     insert into join_counts as kept (join_id, size, window_start, matches, not_listed)
     select join_id, size, date_bin(width, minute, timestamptz 'epoch'), sum(matches), sum(not_listed)
     from new_counts
     cross join (values ('1m', interval '1 minute'), ('1h', interval '1 hour')) as sizes (size, width)
     group by 1, 2, 3
     order by 1, 2, 3
     on conflict (join_id, size, window_start) do update
     set matches = kept.matches + excluded.matches,
         not_listed = kept.not_listed + excluded.not_listed`,
    changes.values,
  );
}

interface JoinRow extends Record<string, unknown> {
  join_id: number;
  name: string;
  left_type: string;
  right_type: string;
  within_micros: number;
  filled_from: number;
  raw_from: number;
}

/** Nothing older than `raw_from` changes any more. */
const scopeOf = (row: JoinRow): JoinScope => ({
  joinId: row.join_id,
  leftType: row.left_type,
  rightType: row.right_type,
  withinMicros: row.within_micros,
  fromMicros: Math.max(row.filled_from, row.raw_from),
  toMicros: Number.POSITIVE_INFINITY,
});

async function readScopes(sql: Sql): Promise<JoinScope[]> {
  const { rows } = await sql.query<JoinRow>(
    `select joins.*, raw_from
     from joins
     cross join clock
     where state in ('filling', 'active')
       and filled_from < 'infinity'
     order by join_id`,
  );
  return rows.map(scopeOf);
}

/** Whether anything is to be found, filled or deleted; a cheap look that writes nothing. */
export async function hasJoinWork(sql: Sql): Promise<boolean> {
  const { rows } = await sql.query<{ found: boolean }>({
    name: "has-join-work",
    text: "select exists (select from joins where state <> 'active') as found",
  });
  return rows[0]?.found === true || (await hasSlice(sql, JOINS_FOLLOWER));
}

/**
 * Fills the oldest declaration that is not filled by at most `limit` of its left events, more only
 * where they have one time. The last step makes it the one that answers. False when none is left.
 */
export function fillJoins(pool: Pool, lease: Lease, limit: number): Promise<boolean> {
  return inTransaction(pool, "repeatable read", async (client) => {
    const toTx = await requireCursor(client, lease);
    const row = await nextToFill(client);
    if (row === undefined) return false;
    const scope = scopeOf(row);
    const stretch = await nextStretch(client, row, limit);
    if (stretch === undefined) {
      await activate(client, row);
      return true;
    }
    const scopes = [{ ...scope, fromMicros: stretch.fromMicros, toMicros: row.filled_from }];
    await storeChanges(client, scopes, {
      stretches: [stretch],
      fromTx: 0,
      toTx,
      type: scope.leftType,
    });
    await noteFilled(client, row, stretch);
    return true;
  });
}

async function nextToFill(sql: Sql): Promise<JoinRow | undefined> {
  const { rows } = await sql.query<JoinRow>(
    `select joins.*, raw_from
     from joins
     cross join clock
     where state = 'filling'
     order by join_id
     limit 1`,
  );
  return rows[0];
}

/** Where the newest `limit` left events that are not filled lie; undefined: there are none. */
async function nextStretch(sql: Sql, row: JoinRow, limit: number): Promise<Stretch | undefined> {
  const { rows } = await sql.query<{ least: number | null; greatest: number | null }>(
    `select min(event_time) as least, max(event_time) as greatest
     from (
       select event_time
       from stream_events
       where event_type = $1
         and event_time < $2
         and event_time >= (select raw_from from clock)
       order by event_time desc
       limit $3
     ) as newest`,
    [row.left_type, boundText(row.filled_from), limit],
  );
  const { least = null, greatest = null } = rows[0] ?? {};
  return least === null || greatest === null
    ? undefined
    : { fromMicros: least, toMicros: greatest };
}

/** The first step also notes between which times there is something to fill. */
async function noteFilled(client: Client, row: JoinRow, stretch: Stretch): Promise<void> {
  await client.query(
    `update joins
     set filled_from = $2,
         fill_end = coalesce(fill_end, $3),
         fill_start = coalesce(fill_start, (
           select event_time
           from stream_events
           where event_type = left_type
             and event_time <= $3
             and event_time >= (select raw_from from clock)
           order by event_time
           limit 1
         ))
     where join_id = $1`,
    [row.join_id, boundText(stretch.fromMicros), boundText(stretch.toMicros)],
  );
}

/** The version that answered until now is retired in the same moment. */
async function activate(client: Client, { join_id: joinId, name }: JoinRow): Promise<void> {
  await client.query("update joins set state = 'retired' where name = $1 and state = 'active'", [
    name,
  ]);
  await client.query(
    "update joins set state = 'active', filled_from = '-infinity' where join_id = $1",
    [joinId],
  );
}

const KEPT = ["join_lefts", "join_rights", "join_counts"] as const;

/** Deletes at most `limit` rows of each kind of a retired join, in the end itself. False: none left. */
export function deleteRetiredJoins(pool: Pool, lease: Lease, limit: number): Promise<boolean> {
  return inTransaction(pool, "repeatable read", async (client) => {
    await requireCursor(client, lease);
    const { rows } = await client.query<{ join_id: number }>(
      "select join_id from joins where state = 'retired' order by join_id limit 1",
    );
    const [retired] = rows;
    if (retired === undefined) return false;
    let deleted = 0;
    for (const table of KEPT) {
      const { rowCount } = await client.query(
        `delete from ${table}
         where ctid = any (array(select ctid from ${table} where join_id = $1 limit $2))`,
        [retired.join_id, limit],
      );
      deleted += rowCount ?? 0;
    }
    if (deleted === 0)
      await client.query("delete from joins where join_id = $1", [retired.join_id]);
    return true;
  });
}
