/** Counts of active users against raw events. */
import { instantText, type Sql } from "../sql.ts";
import { comparePairs } from "./compare-pairs.ts";
import type { Audited, AuditRange } from "./difference.ts";
import { RAW_ACTIVITY, RAW_DAYS } from "./raw-sessions.ts";

const DAY = 86_400_000_000;

/** Minutes and hours of the range, and the days that lie in it whole. */
export async function auditActiveUsers(
  moment: Sql,
  { fromMicros, toMicros }: AuditRange,
  limit: number,
): Promise<Audited[]> {
  const firstDay = Math.ceil(fromMicros / DAY) * DAY;
  const daysEnd = Math.max(firstDay, Math.floor(toMicros / DAY) * DAY);
  const hours = [instantText(fromMicros), instantText(toMicros)];
  const days = [instantText(firstDay), instantText(daysEnd)];
  return [
    await comparePairs(moment, "active users", ACTIVITY, hours, limit),
    await comparePairs(moment, "active days", DAYS, days, limit),
  ];
}

const ACTIVITY = `${RAW_ACTIVITY},
  actual as (
    select by, start, users
    from active_users
    where start >= $1
      and start < $2
      and users <> 0
  ),
  pair as (
    select
      by || ' ' || start as key,
      raw_activity.users as expected,
      actual.users as actual
    from raw_activity
    full join actual using (by, start)
  )`;

const DAYS = `${RAW_DAYS},
  actual as (
    select day, previous_day, users
    from active_days
    where day >= ($1::timestamptz at time zone 'UTC')::date
      and day < ($2::timestamptz at time zone 'UTC')::date
      and users <> 0
  ),
  pair as (
    select
      day || ' after ' || previous_day as key,
      raw_day.users as expected,
      actual.users as actual
    from raw_day
    full join actual using (day, previous_day)
  )`;
