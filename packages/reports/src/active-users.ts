/**
 * GET /v1/reports/active-users: how many users have an event in each minute, hour, day, week or month
 * of a range, exactly, and how many of its users come on an average day.
 *
 * Counts that the follower has kept and what came since are added in one snapshot. Days, weeks, months
 * and any other whole days are sums over `active_days`: no user is looked at, however long the range.
 * Periods without a user are left out.
 */
import {
  activityChanges,
  clipStretches,
  instantText,
  type OpenPart,
  ofPart,
  openPart,
  SESSIONS_FOLLOWER,
  type Sql,
  sessionChanges,
} from "@headrace/db";
import { floorTo, WINDOW_MICROS } from "@headrace/windows";
import * as z from "zod";
import { Count, Figure, InstantText, instantOf } from "./answer.ts";
import type { ReportSql } from "./report-sql.ts";

export const ACTIVE_PERIODS = ["minute", "hour", "day", "week", "month"] as const;
export const ActivePeriodName = z.enum(ACTIVE_PERIODS);
export type ActivePeriod = z.output<typeof ActivePeriodName>;

export const ActiveUsersAnswer = z.strictObject({
  periods: z.array(z.strictObject({ start: InstantText, users: Count })),
  /**
   * Mean users of a day, empty days counted, in parts of the range's users; null where the range is not
   * made of whole days, or has no users.
   */
  stickiness: Figure,
});
export type ActiveUsersAnswer = z.output<typeof ActiveUsersAnswer>;

export interface ActiveUsersQuery {
  readonly by: ActivePeriod;
  /** [from, to), whole periods; µs. */
  readonly fromMicros: number;
  readonly toMicros: number;
}

/** 1970-01-05 was a Monday. */
const FIRST_MONDAY = 4 * WINDOW_MICROS["1d"];

/** Start of the period that holds `micros`, in UTC; weeks start on Monday. */
export function periodStart(micros: number, by: ActivePeriod): number {
  if (by === "minute") return floorTo(micros, WINDOW_MICROS["1m"]);
  if (by === "hour") return floorTo(micros, WINDOW_MICROS["1h"]);
  const day = floorTo(micros, WINDOW_MICROS["1d"]);
  if (by === "day") return day;
  if (by === "week") return FIRST_MONDAY + floorTo(day - FIRST_MONDAY, 7 * WINDOW_MICROS["1d"]);
  const date = new Date(day / 1000);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth()) * 1000;
}

interface PeriodRow extends Record<string, unknown> {
  readonly start: number;
  readonly users: number;
}

interface RangeRow extends Record<string, unknown> {
  readonly daily_users: number;
  readonly users: number;
}

export async function readActiveUsers(
  sql: ReportSql,
  query: ActiveUsersQuery,
): Promise<ActiveUsersAnswer> {
  const { by, fromMicros, toMicros } = query;
  const days = (toMicros - fromMicros) / WINDOW_MICROS["1d"];
  const isWholeDays = Number.isInteger(days) && Number.isInteger(fromMicros / WINDOW_MICROS["1d"]);
  const { periods, range } = await sql.snapshot(async (moment) => {
    const open = await openPart(moment, SESSIONS_FOLLOWER);
    const part = { ...open, stretches: clipStretches(open.stretches, fromMicros, toMicros) };
    const ask = <Row extends Record<string, unknown>>(text: string, more: unknown[] = []) =>
      readWith<Row>(moment, part, query, text, more);
    const isShort = by === "minute" || by === "hour";
    return {
      periods: isShort ? await ask<PeriodRow>(shortText(by)) : await ask<PeriodRow>(LONG, [by]),
      range: isWholeDays ? (await ask<RangeRow>(RANGE))[0] : undefined,
    };
  });
  return {
    periods: periods.map(({ start, users }) => ({ start: instantOf(start), users })),
    stickiness:
      range === undefined || range.users === 0 ? null : range.daily_users / days / range.users,
  };
}

async function readWith<Row extends Record<string, unknown>>(
  moment: Sql,
  part: OpenPart,
  { fromMicros, toMicros }: ActiveUsersQuery,
  text: string,
  more: readonly unknown[],
): Promise<readonly Row[]> {
  const values: unknown[] = [instantText(fromMicros), instantText(toMicros), ...more];
  const changes = [sessionChanges(ofPart(part, values)), activityChanges(part, values)].join(",");
  return (await moment.query<Row>(`${changes} ${text}`, values)).rows;
}

// $1 from, $2 to.
const shortText = (by: "minute" | "hour"): string => `
  select start, sum(users)::bigint as users
  from (
    select start, users
    from active_users
    where by = '${by}'
      and start >= $1
      and start < $2
    union all
    ${
      by === "minute"
        ? "select minute, users from minute_change where minute >= $1 and minute < $2"
        : "select hour, users from hour_change_of_users where hour >= $1 and hour < $2"
    }
  ) as counted
  group by start
  having sum(users) > 0
  order by start`;

const DAYS = `
  select day, previous_day, users
  from active_days
  where day >= ($1::timestamptz at time zone 'UTC')::date
    and day < ($2::timestamptz at time zone 'UTC')::date
  union all
  select day, previous_day, users
  from day_change
  where day >= ($1::timestamptz at time zone 'UTC')::date
    and day < ($2::timestamptz at time zone 'UTC')::date`;

// A user counts in a period on his first day of it. $3: day, week (from Monday) or month.
const LONG = `
  select start at time zone 'UTC' as start, sum(users)::bigint as users
  from (
    select date_trunc($3, day::timestamp) as start, previous_day, users
    from (${DAYS}) as counted
  ) as counted
  where previous_day < start
  group by start
  having sum(users) > 0
  order by start`;

const RANGE = `
  select
    coalesce(sum(users), 0)::bigint as daily_users,
    coalesce(
      sum(users) filter (where previous_day < ($1::timestamptz at time zone 'UTC')::date), 0
    )::bigint as users
  from (${DAYS}) as counted`;
