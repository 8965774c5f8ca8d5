/**
 * Counts of active users, when a part of a user's events moves to another id: where both ids are
 * active afterwards there is one user more, and days follow each other otherwise.
 */
import { APPLY_ACTIVITY } from "../sessions/apply-changes.ts";
import { SESSIONS_FOLLOWER } from "../sessions/finish-sessions.ts";
import type { Sql } from "../sql.ts";
import { countChanges, type Moving, type Settle, usersOf, wholeWindows } from "./moving.ts";

const HOUR_MICROS = 3_600_000_000;

type Counts = ReadonlyMap<string, number>;

/** To be called before the events and the sessions move; what it returns, after both. */
export async function moveActivity(sql: Sql, moving: Moving): Promise<Settle> {
  const before = await readActivity(sql, moving);
  return async () => {
    const after = await readActivity(sql, moving);
    await addActivity(sql, countChanges(before, after));
  };
}

/** Days alone: for who moves sessions and no event. */
export async function moveActiveDays(
  sql: Sql,
  users: Pick<Moving, "userId" | "newUserId">,
): Promise<Settle> {
  const before = await readDays(sql, users);
  return async () => {
    await addActivity(sql, countChanges(before, await readDays(sql, users)));
  };
}

const readActivity = async (sql: Sql, moving: Moving): Promise<Counts> =>
  new Map([...(await readPeriods(sql, moving)), ...(await readDays(sql, moving))]);

interface Row extends Record<string, unknown> {
  readonly key: string;
  readonly users: number;
}

const countsOf = (rows: readonly Row[]): Counts => new Map(rows.map((row) => [row.key, row.users]));

/** Minutes and hours of both users among whole hours. */
async function readPeriods(sql: Sql, moving: Moving): Promise<Counts> {
  const { rows } = await sql.query<Row>(
    `select
       by || ' ' || micros(start) as key,
       count(distinct user_id) as users
     from (
       select distinct user_id, date_bin('1 minute', event_time, 'epoch') as minute
       from stream_events
       where user_id = any ($1)
         and event_time >= $2
         and event_time < $3
         and tx < (select tx_cursor from leases where name = $4)
     ) as active
     cross join lateral (
       values
         ('minute', minute),
         ('hour', date_bin('1 hour', minute, 'epoch'))
     ) as period (by, start)
     group by by, start`,
    [usersOf(moving), ...wholeWindows(moving, HOUR_MICROS), SESSIONS_FOLLOWER],
  );
  return countsOf(rows);
}

/** All days of both users, each with the one before: sessions, which stay for ever, tell them. */
async function readDays(
  sql: Sql,
  { userId, newUserId }: Pick<Moving, "userId" | "newUserId">,
): Promise<Counts> {
  const { rows } = await sql.query<Row>(
    `with active as (
       select distinct
         user_id,
         (day at time zone 'UTC')::date as day
       from kept_sessions
       cross join lateral generate_series(
         date_bin('1 day', started_at, 'epoch'), ended_at, interval '24 hours'
       ) as day
       where user_id = any ($1)
     ),
     linked as (
       select
         day,
         coalesce(lag(day) over (partition by user_id order by day), '-infinity') as previous_day
       from active
     )
     select
       'day ' || day || ' ' || previous_day as key,
       count(*) as users
     from linked
     group by day, previous_day`,
    [[userId, newUserId]],
  );
  return countsOf(rows);
}

async function addActivity(sql: Sql, changes: Counts): Promise<void> {
  if (changes.size === 0) return;
  await sql.query(
    `with change as materialized (
       select
         string_to_array(key, ' ') as part,
         users
       from unnest($1::text[], $2::bigint[]) as given (key, users)
     ),
     period_change as (
       select
         part[1] as by,
         to_timestamp(0) + part[2]::bigint * interval '1 microsecond' as start,
         users
       from change
       where part[1] <> 'day'
     ),
     minute_change as (
       select start as minute, users from period_change where by = 'minute'
     ),
     hour_change_of_users as (
       select start as hour, users from period_change where by = 'hour'
     ),
     day_change as (
       select part[2]::date as day, part[3]::date as previous_day, users
       from change
       where part[1] = 'day'
     ),
     ${APPLY_ACTIVITY}
     select 1`,
    [[...changes.keys()], [...changes.values()]],
  );
}
