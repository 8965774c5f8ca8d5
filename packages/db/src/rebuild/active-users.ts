/**
 * Counts of active users made again from raw events, while ingest and the follower go on: an hour, and
 * then a day, is one transaction that holds the follower.
 */
import type { AuditRange } from "../audit/difference.ts";
import { RAW_ACTIVITY, RAW_DAYS } from "../audit/raw-sessions.ts";
import { holdingCrons } from "../leases.ts";
import { SESSIONS_FOLLOWER } from "../sessions/finish-sessions.ts";
import { instantText, type Pool } from "../sql.ts";
import { hoursFrom } from "./hours.ts";

const DAY = 86_400_000_000;

/** Of the range's hours and of the days that they touch; returns how many rows were changed. */
export async function rebuildActiveUsers(
  pool: Pool,
  range: AuditRange,
  onProgress: (micros: number) => void,
): Promise<number> {
  let changed = 0;
  let lastDay: number | undefined;
  for await (const hour of hoursFrom(pool, range)) {
    changed += await replace(pool, ACTIVITY, hour);
    const day = Math.floor(hour.fromMicros / DAY) * DAY;
    if (day !== lastDay) {
      changed += await replace(pool, DAYS, { fromMicros: day, toMicros: day + DAY });
    }
    lastDay = day;
    onProgress(hour.toMicros);
  }
  return changed;
}

const replace = (pool: Pool, text: string, range: AuditRange): Promise<number> =>
  holdingCrons(pool, [SESSIONS_FOLLOWER], async (client) => {
    const { rows } = await client.query<{ changed: number }>(text, [
      instantText(range.fromMicros),
      instantText(range.toMicros),
    ]);
    return rows[0]?.changed ?? 0;
  });

const ACTIVITY = `
  with ${RAW_ACTIVITY},
  kept as (
    select by, start, users
    from active_users
    where start >= $1
      and start < $2
  ),
  wrong as (
    select by, start, coalesce(raw_activity.users, 0) as users
    from kept
    full join raw_activity using (by, start)
    where coalesce(kept.users, 0) <> coalesce(raw_activity.users, 0)
  ),
  written as (
    insert into active_users (by, start, users)
    select by, start, users
    from wrong
    on conflict (by, start) do update
    set users = excluded.users
  )
  select count(*) as changed from wrong`;

const DAYS = `
  with ${RAW_DAYS},
  kept as (
    select day, previous_day, users
    from active_days
    where day = ($1::timestamptz at time zone 'UTC')::date
  ),
  wrong as (
    select day, previous_day, coalesce(raw_day.users, 0) as users
    from kept
    full join raw_day using (day, previous_day)
    where coalesce(kept.users, 0) <> coalesce(raw_day.users, 0)
  ),
  written as (
    insert into active_days (day, previous_day, users)
    select day, previous_day, users
    from wrong
    on conflict (day, previous_day) do update
    set users = excluded.users
  )
  select count(*) as changed from wrong`;
