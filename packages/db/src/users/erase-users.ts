/**
 * The jobs that make erased users anonymous: each waits until everything that came before its request
 * is in the results, and then moves the user's events to a random id, slice by slice.
 *
 * After each slice results equal raw events (distinct users of windows when the job ends); after the
 * last one nothing here names the user, but records that could not be read, which go after 30 days.
 */
import { haveFollowed } from "../followers/follow.ts";
import { FOLLOWERS } from "../followers/followers.ts";
import type { Lease } from "../leases.ts";
import { rebuildWindows } from "../rebuild/windows.ts";
import type { Pool, Sql } from "../sql.ts";
import { endErasure, eraseSlice, type SliceOutcome, sharedDays } from "./erase-slice.ts";

const DAY_MICROS = 86_400_000_000;

/** Jobs that have not ended, the oldest first. */
export async function listErasures(sql: Sql): Promise<string[]> {
  const { rows } = await sql.query<{ job_id: string }>(
    "select job_id from erasures where state <> 'done' order by requested_at, job_id",
  );
  return rows.map((row) => row.job_id);
}

/** Takes a job one slice further, as far as it is ready. `limit`: events that move at most. */
export async function continueErasure(
  pool: Pool,
  lease: Lease,
  jobId: string,
  limit: number,
): Promise<SliceOutcome> {
  const settleTx = await settleTxOf(pool, jobId);
  if (settleTx === undefined) return "done";
  await forgetDimension(pool, jobId);
  if (!(await isSettled(pool, settleTx))) return "unready";
  const outcome = await eraseSlice(pool, lease, jobId, limit);
  if (outcome !== "moved") return outcome;
  await countTwice(pool, jobId);
  return (await endErasure(pool, lease, jobId)) ? "done" : "more";
}

/** Where the user came back, windows must tell the new id from who came; their states do not. */
async function countTwice(pool: Pool, jobId: string): Promise<void> {
  for (const fromMicros of await sharedDays(pool, jobId)) {
    await rebuildWindows(pool, { fromMicros, toMicros: fromMicros + DAY_MICROS }, () => {});
  }
}

/**
 * This statement's own id is its transaction's first, and the request has committed before: whatever
 * took records in without seeing it has a smaller one.
 */
async function settleTxOf(sql: Sql, jobId: string): Promise<number | undefined> {
  const { rows } = await sql.query<{ settle_tx: number | null; state: string }>(
    "select settle_tx, state from erasures where job_id = $1",
    [jobId],
  );
  const [job] = rows;
  if (job === undefined || job.state === "done") return undefined;
  if (job.settle_tx !== null) return job.settle_tx;
  const { rows: told } = await sql.query<{ settle_tx: number }>(
    `update erasures
     set settle_tx = current_epoch() * 17592186044416 + pg_current_xact_id()::text::bigint
     where job_id = $1
       and settle_tx is null
       and state <> 'done'
     returning settle_tx`,
    [jobId],
  );
  return told[0]?.settle_tx;
}

/** What is known of the user beside events; who follows the dimension then counts without it. */
async function forgetDimension(sql: Sql, jobId: string): Promise<void> {
  await sql.query(
    `update dim_users
     set name          = '',
         segment       = null,
         region        = null,
         registered_at = null,
         updated_at    = default,
         tx            = default
     from erasures
     where job_id = $1
       and dim_users.user_id = erasures.user_id
       and (dim_users.name <> '' or coalesce(segment, region) is not null or registered_at is not null)`,
    [jobId],
  );
}

/** Whether everything below `tx` is in the results, windows among them. */
async function isSettled(sql: Sql, tx: number): Promise<boolean> {
  if (!(await haveFollowed(sql, FOLLOWERS, tx))) return false;
  const { rows } = await sql.query<{ folded: boolean }>(
    "select not exists (select from open_windows where tx < $1) as folded",
    [tx],
  );
  return rows[0]?.folded === true;
}
