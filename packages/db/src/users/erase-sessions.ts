/**
 * Kept sessions and their counts, when a part of a user's events moves to another id: both ids'
 * sessions around that part are what raw events say afterwards.
 */

import { APPLY_SESSION_COUNTS } from "../sessions/apply-changes.ts";
import { SESSIONS_FOLLOWER } from "../sessions/finish-sessions.ts";
import { SESSION_CHANGE, SESSION_COUNT_CHANGES } from "../sessions/session-changes.ts";
import { instantText, type Sql } from "../sql.ts";
import { type Moving, type Settle, usersOf } from "./moving.ts";

interface Session extends Record<string, unknown> {
  readonly user_id: string;
  readonly started_at: number;
  readonly ended_at: number;
  readonly event_count: number;
  readonly purchases: number;
  readonly value_sum: string | null;
  readonly revenue_cents: number;
}

/** To be called before the events move; what it returns, after. */
export async function moveSessions(sql: Sql, moving: Moving): Promise<Settle> {
  const before = await readKept(sql, moving);
  return async () => {
    const after = await sessionsOfRaw(sql, moving, before);
    const kept = new Map(before.map((session) => [textOf(session), session]));
    const added = after.filter((session) => !kept.delete(textOf(session)));
    await replace(sql, [...kept.values()], added);
  };
}

const textOf = (session: Session): string => JSON.stringify(Object.values(session));

/** Those that the moving events lie in or may join; a gap of 30 minutes ends none. */
async function readKept(sql: Sql, moving: Moving): Promise<Session[]> {
  const { rows } = await sql.query<Session>(
    `select user_id, started_at, ended_at, event_count, purchases, value_sum::text, revenue_cents
     from kept_sessions
     where user_id = any ($1)
       and ended_at >= $2::timestamptz - interval '30 minutes'
       and started_at <= $3::timestamptz + interval '30 minutes'`,
    [usersOf(moving), instantText(moving.fromMicros), instantText(moving.toMicros)],
  );
  return rows;
}

/** The same stretches of both users' time, from the events that the follower has handled. */
async function sessionsOfRaw(
  sql: Sql,
  moving: Moving,
  before: readonly Session[],
): Promise<Session[]> {
  const users = usersOf(moving);
  const reach = users.map((user) => {
    const own = before.filter(({ user_id: userId }) => userId === user);
    return {
      fromMicros: own.reduce((at, { started_at }) => Math.min(at, started_at), moving.fromMicros),
      toMicros: own.reduce((at, { ended_at }) => Math.max(at, ended_at), moving.toMicros),
    };
  });
  const { rows } = await sql.query<Session>(
    `with event as (
       select
         found.*,
         lag(event_time) over (partition by user_id order by event_time) as previous_time
       from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as part (part_user, begins, ends)
       cross join lateral (
         select user_id, event_time, value, amount_cents, event_type = 'purchase' as is_purchase
         from stream_events
         where user_id = part_user
           and event_time between begins and ends
           and event_time between $4 and $5
           and tx < (select tx_cursor from leases where name = $6)
         offset 0
       ) as found
     ),
     numbered as (
       select
         *,
         count(*) filter (where previous_time is null or event_time > previous_time + interval '30 minutes')
           over (partition by user_id order by event_time rows unbounded preceding) as number
       from event
     )
     select
       user_id,
       min(event_time) as started_at,
       max(event_time) as ended_at,
       count(*) as event_count,
       count(*) filter (where is_purchase) as purchases,
       sum(value::numeric)::text as value_sum,
       coalesce(sum(amount_cents) filter (where is_purchase), 0)::bigint as revenue_cents
     from numbered
     group by user_id, number`,
    [
      users,
      reach.map(({ fromMicros }) => instantText(fromMicros)),
      reach.map(({ toMicros }) => instantText(toMicros)),
      instantText(Math.min(...reach.map(({ fromMicros }) => fromMicros))),
      instantText(Math.max(...reach.map(({ toMicros }) => toMicros))),
      SESSIONS_FOLLOWER,
    ],
  );
  return rows;
}

async function replace(
  sql: Sql,
  gone: readonly Session[],
  added: readonly Session[],
): Promise<void> {
  await sql.query(
    `delete from kept_sessions
     using unnest($1::text[], $2::timestamptz[]) as gone (user_id, started_at)
     where kept_sessions.user_id = gone.user_id
       and kept_sessions.started_at = gone.started_at`,
    [gone.map(({ user_id }) => user_id), gone.map((it) => instantText(it.started_at))],
  );
  const changed = [...gone, ...added];
  await sql.query(
    `with given as materialized (
       select *
       from unnest(
         $1::integer[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[],
         $6::bigint[], $7::numeric[], $8::bigint[]
       ) as given
         (sign, user_id, started_at, ended_at, event_count, purchases, value_sum, revenue_cents)
     ),
     touched as (
       select * from given where sign = -1
     ),
     merged as (
       select * from given where sign = 1
     ),
     kept as (
       insert into kept_sessions
         (user_id, started_at, ended_at, event_count, purchases, value_sum, revenue_cents)
       select user_id, started_at, ended_at, event_count, purchases, value_sum, revenue_cents
       from merged
     ),
     ${SESSION_CHANGE},
     ${SESSION_COUNT_CHANGES},
     ${APPLY_SESSION_COUNTS}
     select 1`,
    [
      [...gone.map(() => -1), ...added.map(() => 1)],
      changed.map(({ user_id }) => user_id),
      changed.map(({ started_at }) => instantText(started_at)),
      changed.map(({ ended_at }) => instantText(ended_at)),
      changed.map(({ event_count }) => event_count),
      changed.map(({ purchases }) => purchases),
      changed.map(({ value_sum }) => value_sum),
      changed.map(({ revenue_cents }) => revenue_cents),
    ],
  );
}

/**
 * Sessions from before raw events are kept cannot be made again: those that begin there move as they
 * stand. Returns how many, at most `limit`.
 */
export async function renameOldSessions(
  sql: Sql,
  { userId, newUserId }: Pick<Moving, "userId" | "newUserId">,
  limit: number,
): Promise<number> {
  const { rowCount } = await sql.query(
    `update kept_sessions
     set user_id = $2
     where (user_id, started_at) in (
       select user_id, started_at
       from kept_sessions
       where user_id = $1
         and started_at < (select raw_from from clock)
       limit $3
     )`,
    [userId, newUserId, limit],
  );
  return rowCount ?? 0;
}
