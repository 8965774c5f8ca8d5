/**
 * Sessions and activity, finished in bulk behind the cut: one slice of whole transactions at a time,
 * one statement for all tables. A late event extends a session, joins two, or makes one between; the
 * result is always that of all events together.
 */
import { followSlice, type Slice } from "../followers/follow.ts";
import type { Lease } from "../leases.ts";
import type { Client, Pool } from "../sql.ts";
import { activityChanges } from "./activity-changes.ts";
import { APPLY_ACTIVITY, APPLY_SESSION_COUNTS, APPLY_SESSIONS } from "./apply-changes.ts";
import {
  ofPart,
  SESSION_CHANGE,
  SESSION_COUNT_CHANGES,
  sessionChanges,
} from "./session-changes.ts";

/** Its lease and cursor. */
export const SESSIONS_FOLLOWER = "finish-sessions";

/** The next slice; undefined when there is none. A serialisation failure is for the caller to repeat. */
export function finishSessions(
  pool: Pool,
  lease: Lease,
  limit: number,
): Promise<Slice | undefined> {
  return followSlice(pool, lease, limit, finishSlice);
}

async function finishSlice(client: Client, slice: Slice): Promise<void> {
  const values: unknown[] = [];
  const parts = [
    sessionChanges(ofPart(slice, values)),
    SESSION_CHANGE,
    SESSION_COUNT_CHANGES,
    activityChanges(slice, values),
    APPLY_SESSIONS,
    APPLY_SESSION_COUNTS,
    APPLY_ACTIVITY,
  ];
  await client.query(`${parts.join(",")} select 1`, values);
}
