/**
 * GET /v1/reports/sessions: gap sessions that start in a range, in the order of start and user.
 *
 * What the follower has kept and what came since are joined in one snapshot, so that a session is
 * exact at every moment: a visit that goes on shows its last event.
 */
import {
  instantText,
  ofPart,
  openPart,
  SESSIONS_FOLLOWER,
  type Sql,
  sessionChanges,
} from "@headrace/db";
import { formatCents } from "@headrace/kernel";
import * as z from "zod";
import { Count, Figure, InstantText, instantOf, Money } from "./answer.ts";
import type { ReportSql } from "./report-sql.ts";

export const SessionAnswer = z.strictObject({
  /** Stable while the session grows at its end. */
  session_id: z.guid(),
  user_id: z.string(),
  started_at: InstantText,
  ended_at: InstantText,
  event_count: Count,
  duration_seconds: z.number().min(0),
  value_sum: Figure,
  /** The amount of its purchases. */
  revenue: Money,
  purchased: z.boolean(),
  /** Whether another event may still be expected to belong to it. */
  open: z.boolean(),
});
export type SessionAnswer = z.output<typeof SessionAnswer>;

/** Where a page ends: its last session. */
export interface SessionPlace {
  readonly startMicros: number;
  readonly userId: string;
}

export interface SessionsQuery {
  /** null: all users. */
  readonly userId: string | null;
  /** Sessions that start in [from, to), µs. */
  readonly fromMicros: number;
  readonly toMicros: number;
  /** Only sessions behind this place. */
  readonly after: SessionPlace | undefined;
  readonly limit: number;
}

export interface SessionsPage {
  readonly sessions: SessionAnswer[];
  /** Undefined where nothing follows. */
  readonly last: SessionPlace | undefined;
}

interface Row extends Record<string, unknown> {
  readonly session_id: string;
  readonly user_id: string;
  readonly started_at: number;
  readonly ended_at: number;
  readonly event_count: number;
  readonly duration_seconds: number;
  readonly value_sum: number | null;
  readonly revenue_cents: string;
  readonly purchased: boolean;
  readonly open: boolean;
}

export async function readSessions(sql: ReportSql, query: SessionsQuery): Promise<SessionsPage> {
  const rows = await sql.snapshot((moment) => readRows(moment, query));
  const shown = rows.slice(0, query.limit);
  const last = rows.length > query.limit ? shown.at(-1) : undefined;
  return {
    sessions: shown.map(({ started_at, ended_at, revenue_cents, ...row }) => ({
      session_id: row.session_id,
      user_id: row.user_id,
      started_at: instantOf(started_at),
      ended_at: instantOf(ended_at),
      event_count: row.event_count,
      duration_seconds: row.duration_seconds,
      value_sum: row.value_sum,
      revenue: formatCents(BigInt(revenue_cents)),
      purchased: row.purchased,
      open: row.open,
    })),
    last: last && { startMicros: last.started_at, userId: last.user_id },
  };
}

/** One more row than the limit tells whether another page follows. */
async function readRows(moment: Sql, query: SessionsQuery): Promise<readonly Row[]> {
  const { userId } = query;
  const open = await openPart(moment, SESSIONS_FOLLOWER);
  const values: unknown[] = [query.limit + 1];
  const changes = sessionChanges(ofPart(userId === null ? open : { ...open, userId }, values));
  const inRange = userId === null ? ofAll(query, values) : ofUser(userId, query, values);
  const { rows } = await moment.query<Row>(`${changes}, ${pageText(inRange)}`, values);
  return rows;
}

/** Behind (from, "") lie all sessions from `from` on: no user id is empty. */
function ofAll({ fromMicros, toMicros, after }: SessionsQuery, values: unknown[]) {
  const place = after ?? { startMicros: fromMicros, userId: "" };
  values.push(instantText(place.startMicros), place.userId, instantText(toMicros));
  const [start, user, to] = [values.length - 2, values.length - 1, values.length];
  return {
    condition: `(started_at, user_id) > ($${start}::timestamptz, $${user}::text) and started_at < $${to}`,
    order: "started_at, user_id",
  };
}

/** Compared as rows in the order of the primary key, which alone serves that. */
function ofUser(userId: string, { fromMicros, toMicros, after }: SessionsQuery, values: unknown[]) {
  const from = after === undefined ? fromMicros : after.startMicros + 1;
  values.push(userId, instantText(from), instantText(toMicros));
  const [user, start, to] = [values.length - 2, values.length - 1, values.length];
  return {
    condition: `user_id = $${user}::text
      and (user_id, started_at) >= ($${user}::text, $${start}::timestamptz)
      and (user_id, started_at) < ($${user}::text, $${to}::timestamptz)`,
    order: "user_id, started_at",
  };
}

// $1 rows.
const pageText = ({ condition, order }: { condition: string; order: string }): string => `
  untouched as (
    select user_id, started_at, ended_at, event_count, purchases, value_sum, revenue_cents
    from kept_sessions
    where ${condition}
      and (user_id, started_at) not in (select user_id, started_at from touched)
    order by ${order}
    limit $1
  ),
  found as (
    select *
    from untouched
    union all
    select *
    from merged
    where ${condition}
  )
  select
    session_id(user_id, started_at) as session_id,
    user_id,
    started_at,
    ended_at,
    event_count,
    elapsed_micros(started_at, ended_at) / 1000000.0::double precision as duration_seconds,
    double_or_null(value_sum) as value_sum,
    revenue_cents::text as revenue_cents,
    purchases > 0 as purchased,
    coalesce(watermark <= ended_at + interval '30 minutes', true) as open
  from found
  cross join clock
  order by started_at, user_id
  limit $1`;
