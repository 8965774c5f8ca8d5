/** Who follows raw events: results that hold an event once the follower's cursor has passed it. */
import { JOINS_FOLLOWER } from "../joins/find-joins.ts";
import { SEGMENTS_FOLLOWER } from "../segments/refresh-segments.ts";
import { SESSIONS_FOLLOWER } from "../sessions/finish-sessions.ts";

/** Their leases. Windows are not among them: they have a queue (open_windows) and no cursor. */
export const FOLLOWERS = [SESSIONS_FOLLOWER, JOINS_FOLLOWER, SEGMENTS_FOLLOWER] as const;
