/**
 * GET /v1/users/{id}/profile: what is known of one user at this moment.
 *
 * Counts and durations are those of the user's gap sessions, stored and open in one snapshot, and so
 * reach back further than raw events do; categories are counted from the raw events that are kept.
 */
import {
  instantText,
  ofPart,
  openPart,
  SESSIONS_FOLLOWER,
  type Sql,
  sessionChanges,
} from "@headrace/db";
import * as z from "zod";
import { Count, Figure, InstantText, instantOrNull } from "./answer.ts";
import type { ReportSql } from "./report-sql.ts";

/** Categories that a profile names, the most frequent first. */
const MAX_CATEGORIES = 10;

export const UserProfileAnswer = z.strictObject({
  user_id: z.string(),
  /** Time of the latest event; null for one who is only known by name. */
  last_active: InstantText.nullable(),
  total_events: Count,
  sessions: Count,
  mean_session_duration_seconds: Figure,
  /** The events' own. */
  favourite_categories: z.array(z.string()).max(MAX_CATEGORIES),
  /** null until there is a model. */
  purchase_probability: Figure,
});
export type UserProfileAnswer = z.output<typeof UserProfileAnswer>;

/** Undefined for a user with neither events nor a name. */
export function readUserProfile(
  sql: ReportSql,
  userId: string,
): Promise<UserProfileAnswer | undefined> {
  return sql.snapshot(async (moment) => {
    const totals = await readTotals(moment, userId);
    if (totals.sessions === 0 && !totals.is_named) return undefined;
    return {
      user_id: userId,
      last_active: instantOrNull(totals.ended_at),
      total_events: totals.events,
      sessions: totals.sessions,
      mean_session_duration_seconds: totals.mean_duration,
      favourite_categories: await readCategories(moment, userId, totals),
      purchase_probability: null,
    };
  });
}

interface Totals extends Record<string, unknown> {
  readonly sessions: number;
  readonly events: number;
  /** Of the first and the last session; null where there is none. */
  readonly started_at: number | null;
  readonly ended_at: number | null;
  readonly mean_duration: number | null;
  readonly is_named: boolean;
}

async function readTotals(moment: Sql, userId: string): Promise<Totals> {
  const open = await openPart(moment, SESSIONS_FOLLOWER);
  const values: unknown[] = [userId];
  const { rows } = await moment.query<Totals>(
    `${sessionChanges(ofPart({ ...open, userId }, values))},
     session as (
       select started_at, ended_at, event_count
       from kept_sessions
       where user_id = $1
         and (user_id, started_at) not in (select user_id, started_at from touched)
       union all
       select started_at, ended_at, event_count
       from merged
     )
     select
       count(*) as sessions,
       coalesce(sum(event_count), 0)::bigint as events,
       min(started_at) as started_at,
       max(ended_at) as ended_at,
       (avg(elapsed_micros(started_at, ended_at)) / 1000000)::double precision as mean_duration,
       exists (select from dim_users where user_id = $1) as is_named
     from session`,
    values,
  );
  return rows[0] as Totals;
}

async function readCategories(
  moment: Sql,
  userId: string,
  { started_at, ended_at }: Totals,
): Promise<string[]> {
  if (started_at === null || ended_at === null) return [];
  const { rows } = await moment.query<{ category: string }>(
    `select category
     from stream_events
     where user_id = $1
       and event_time between $2 and $3
       and category is not null
     group by category
     order by count(*) desc, category collate "C"
     limit $4`,
    [userId, instantText(started_at), instantText(ended_at), MAX_CATEGORIES],
  );
  return rows.map(({ category }) => category);
}
