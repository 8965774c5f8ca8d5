/**
 * Tables `erased_users` and `erasures`: who must not come back, and the jobs that make what is kept
 * of them anonymous.
 *
 * From the moment a request has committed, ingest leaves the user's records out whose Kafka timestamp
 * is not later than it. Later ones are those of a user of whom nothing is known, and are kept.
 */
import { createHmac, randomUUID } from "node:crypto";
import { bug } from "@headrace/kernel";
import type { Sql } from "../sql.ts";

export type ErasureState = "waiting" | "running" | "done";

/** A job as anybody may see it; instants in µs. */
export interface Erasure {
  readonly jobId: string;
  /** `waiting` until everything that came before the request is in the results. */
  readonly state: ErasureState;
  readonly requestedAt: number;
  readonly finishedAt: number | null;
  /** Raw events made anonymous so far. */
  readonly events: number;
}

interface Row extends Record<string, unknown> {
  readonly job_id: string;
  readonly state: ErasureState;
  readonly requested_at: number;
  readonly finished_at: number | null;
  readonly events: number;
}

const COLUMNS = "job_id, state, requested_at, finished_at, events";

const erasureOf = (row: Row): Erasure => ({
  jobId: row.job_id,
  state: row.state,
  requestedAt: row.requested_at,
  finishedAt: row.finished_at,
  events: row.events,
});

/** By what a user is known after the erasure. */
export const hashOfUser = (userId: string, key: Buffer): Buffer =>
  createHmac("sha256", key).update(userId).digest();

/**
 * Asks for a user to be erased; one statement, one commit. While a job for the user has not ended it
 * begins again with all that has come since, under the same id.
 */
export async function requestErasure(sql: Sql, userId: string): Promise<Erasure> {
  const hash = hashOfUser(userId, await readKey(sql));
  const { rows } = await sql.query<Row>(
    `with moment as materialized (
       select clock_timestamp() as now
     ),
     known as (
       insert into erased_users as kept (hash, erased_at)
       select $1, now
       from moment
       on conflict (hash) do update
       set erased_at = greatest(kept.erased_at, excluded.erased_at)
       returning erased_at
     )
     insert into erasures (job_id, hash, state, erased_at, user_id, new_user_id)
     select $2, $1, 'waiting', erased_at, $3, $4
     from known
     on conflict (hash) where state <> 'done' do update
     set state     = 'waiting',
         erased_at = excluded.erased_at,
         settle_tx = null,
         next_time = '-infinity'
     returning ${COLUMNS}`,
    [hash, randomUUID(), userId, randomUUID()],
  );
  const [row] = rows;
  if (row === undefined) throw bug("erasure.missing", "a request to erase left no job");
  return erasureOf(row);
}

export async function findErasure(sql: Sql, jobId: string): Promise<Erasure | undefined> {
  const { rows } = await sql.query<Row>(`select ${COLUMNS} from erasures where job_id = $1`, [
    jobId,
  ]);
  return rows.map(erasureOf)[0];
}

async function readKey(sql: Sql): Promise<Buffer> {
  const { rows } = await sql.query<{ key: Buffer }>("select key from erasure_key");
  const [row] = rows;
  if (row === undefined) throw bug("erasure.key", "table erasure_key has no row");
  return row.key;
}
