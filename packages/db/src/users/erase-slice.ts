/**
 * One slice of an erasure: a part of the user's raw events gets the new id, and every result is what
 * raw events say afterwards, in one repeatable-read transaction while nobody else changes results.
 */
import { FOLLOWERS } from "../followers/followers.ts";
import { holdingCrons, type Lease, requireLease } from "../leases.ts";
import { type Client, instantText, type Pool, type Sql } from "../sql.ts";
import { moveActiveDays, moveActivity } from "./erase-activity.ts";
import { moveJoins, renameLeftPartners, renameOldPartners } from "./erase-joins.ts";
import { moveSegmentUsers } from "./erase-segments.ts";
import { moveSessions, renameOldSessions } from "./erase-sessions.ts";
import type { Moving, Settle } from "./moving.ts";

/** `more`: the job goes on. `unready`: something has to come to its end first. `moved`: all events have. */
export type SliceOutcome = "more" | "unready" | "moved" | "done";

interface Job extends Record<string, unknown> {
  readonly user_id: string;
  readonly new_user_id: string;
  readonly erased_at: number;
  readonly next_time: number;
}

/**
 * `limit`: events that move at most. The job ends in a slice of its own, by `endErasure`.
 */
export function eraseSlice(
  pool: Pool,
  lease: Lease,
  jobId: string,
  limit: number,
): Promise<SliceOutcome> {
  return holdingCrons(pool, FOLLOWERS, async (client) => {
    await requireLease(client, lease);
    const job = await lockJob(client, jobId);
    if (job === undefined) return "done";
    if (!(await isReady(client, job.user_id))) return "unready";
    const hasBegun = Number.isFinite(job.next_time);
    if (!hasBegun && (await renameOld(client, job, limit)) > 0) return "more";
    const part = await nextPart(client, job, limit);
    if (part === undefined) return "moved";
    await movePart(client, job, part);
    await client.query(
      `update erasures
       set state     = 'running',
           next_time = $2,
           events    = events + $3
       where job_id = $1`,
      [jobId, instantText(part.lastMicros), part.events],
    );
    return "more";
  });
}

/**
 * From now on nothing says who the user was, or under which id the events are. False where a request
 * that came meanwhile has let the job begin again.
 */
export function endErasure(pool: Pool, lease: Lease, jobId: string): Promise<boolean> {
  return holdingCrons(pool, FOLLOWERS, async (client) => {
    await requireLease(client, lease);
    const job = await lockJob(client, jobId);
    if (job === undefined) return true;
    if ((await nextPart(client, job, 1)) !== undefined) return false;
    await finish(client, jobId, job);
    return true;
  });
}

/** Days that hold events which have moved and later ones of the same user; their starts in µs. */
export async function sharedDays(sql: Sql, jobId: string): Promise<number[]> {
  const { rows } = await sql.query<{ day: number }>(
    `select distinct date_bin('1 day', kept.event_time, timestamptz 'epoch') as day
     from erasures
     join stream_events kept on kept.user_id = erasures.user_id
     where job_id = $1
       and exists (
         select
         from stream_events moved
         where moved.user_id = erasures.new_user_id
           and moved.event_time >= date_bin('1 day', kept.event_time, timestamptz 'epoch')
           and moved.event_time < date_bin('1 day', kept.event_time, timestamptz 'epoch') + interval '1 day'
       )
     order by day`,
    [jobId],
  );
  return rows.map(({ day }) => day);
}

/** A request that comes again meanwhile waits, and lets the job begin again. */
async function lockJob(sql: Sql, jobId: string): Promise<Job | undefined> {
  const { rows } = await sql.query<Job>(
    `select user_id, new_user_id, erased_at, next_time
     from erasures
     where job_id = $1
       and state <> 'done'
       and settle_tx is not null
     for update`,
    [jobId],
  );
  return rows[0];
}

/** Nothing counts the user under a segment, and no group or join is in the middle of a change. */
async function isReady(sql: Sql, userId: string): Promise<boolean> {
  const { rows } = await sql.query<{ ready: boolean }>(
    `select
       not exists (select from user_segments where user_id = $1)
       and not exists (select from segment_moves)
       and not exists (select from joins where state <> 'active') as ready`,
    [userId],
  );
  return rows[0]?.ready === true;
}

async function renameOld(client: Client, job: Job, limit: number): Promise<number> {
  const users = { userId: job.user_id, newUserId: job.new_user_id };
  const settleDays = await moveActiveDays(client, users);
  const sessions = await renameOldSessions(client, users, limit);
  if (sessions > 0) await settleDays();
  return sessions + (await renameOldPartners(client, users, limit));
}

interface Part {
  readonly events: number;
  readonly firstMicros: number;
  readonly lastMicros: number;
  /** Of the last event. */
  readonly lastId: string;
  /** Up to here results are from before raw events, and stay as they are. */
  readonly settledMicros: number;
}

interface PartRow extends Record<string, unknown> {
  readonly events: number;
  readonly first_time: number | null;
  readonly last_time: number | null;
  readonly last_id: string | null;
  readonly settled: number;
}

async function nextPart(sql: Sql, job: Job, limit: number): Promise<Part | undefined> {
  const { rows } = await sql.query<PartRow>(
    `select
       count(*) as events,
       min(event_time) as first_time,
       max(event_time) as last_time,
       (array_agg(event_id order by event_time desc, event_id desc))[1] as last_id,
       coalesce(
         (
           select max(ended_at)
           from kept_sessions
           where user_id = any (array[$1, $2])
             and started_at < (select raw_from from clock)
         ),
         '-infinity'
       ) as settled
     from (
       select event_id, event_time
       from stream_events
       where user_id = $1
         and event_time >= $3
         and record_time <= $4
       order by event_time, event_id
       limit $5
     ) as part`,
    [
      job.user_id,
      job.new_user_id,
      Number.isFinite(job.next_time) ? instantText(job.next_time) : "-infinity",
      instantText(job.erased_at),
      limit,
    ],
  );
  const [row] = rows;
  if (row?.first_time == null || row.last_time === null || row.last_id === null) return undefined;
  return {
    events: row.events,
    firstMicros: row.first_time,
    lastMicros: row.last_time,
    lastId: row.last_id,
    settledMicros: row.settled,
  };
}

async function movePart(client: Client, job: Job, part: Part): Promise<void> {
  const moving: Moving = {
    userId: job.user_id,
    newUserId: job.new_user_id,
    fromMicros: Math.max(part.firstMicros, part.settledMicros + 1),
    toMicros: part.lastMicros,
  };
  if (moving.fromMicros > moving.toMicros) return renameEvents(client, job, part);
  const settles: Settle[] = [
    await moveSessions(client, moving),
    await moveActivity(client, moving),
    await moveSegmentUsers(client, moving),
  ];
  await renameEvents(client, job, part);
  for (const settle of settles) await settle();
  await moveJoins(client, moving);
}

async function renameEvents(client: Client, job: Job, part: Part): Promise<void> {
  await client.query(
    `update stream_events
     set user_id    = $2,
         session_id = null,
         region     = null,
         data       = null
     where user_id = $1
       and event_time between $3 and $4
       and (event_time, event_id) <= ($4::timestamptz, $5::uuid)
       and record_time <= $6`,
    [
      job.user_id,
      job.new_user_id,
      instantText(part.firstMicros),
      instantText(part.lastMicros),
      part.lastId,
      instantText(job.erased_at),
    ],
  );
}

async function finish(client: Client, jobId: string, job: Job): Promise<void> {
  await renameLeftPartners(client, { userId: job.user_id, newUserId: job.new_user_id });
  await client.query("delete from dim_users where user_id = $1", [job.user_id]);
  await client.query(
    `update erasures
     set state       = 'done',
         user_id     = null,
         new_user_id = null,
         next_time   = '-infinity',
         finished_at = clock_timestamp()
     where job_id = $1`,
    [jobId],
  );
}
