/**
 * Raw events leave by the week when they are past their retention; finished results stay.
 *
 * First `raw_from` moves, in a commit of its own: from then on ingest refuses what is older and nothing
 * that old is made again. The week's partition goes when no reader is in the way and every follower has
 * handled what the week still held; what cannot go yet goes at a later call.
 */
import { type Lease, requireLease } from "./leases.ts";
import { inTransaction, type Pool, type Sql } from "./sql.ts";

/** Moves `raw_from` to the Monday that the retention reaches; it never goes back. */
export async function advanceRawFrom(sql: Sql): Promise<void> {
  await sql.query(
    `update clock
     set raw_from = monday
     from (
       select date_trunc('week', now() - raw_retention, 'UTC') as monday
       from settings
     ) as kept
     where monday > raw_from`,
  );
}

export interface ExpiredWeek {
  /** Its Monday (`2026-11-16`). */
  readonly week: string;
  /** `busy`: readers were in the way. `wanted`: a follower or the finisher is not done with it. */
  readonly outcome: "dropped" | "busy" | "wanted";
}

/** Drops the partitions that `raw_from` has passed. */
export async function dropExpiredRaw(
  pool: Pool,
  followers: readonly string[],
): Promise<ExpiredWeek[]> {
  const { rows } = await pool.query<{ week: string }>(
    `select to_char(week, 'YYYY-MM-DD') as week
     from (
       select to_date(right(relname, 8), 'YYYYMMDD') as week
       from pg_inherits
       join pg_class on pg_class.oid = inhrelid
       where inhparent = 'stream_events'::regclass
     ) as partition
     where (week + 7)::timestamp at time zone 'UTC' <= (select raw_from from clock)
     order by 1`,
  );
  const expired: ExpiredWeek[] = [];
  for (const { week } of rows) {
    const { rows: answers } = await pool.query<{ outcome: ExpiredWeek["outcome"] }>(
      "select drop_event_partition($1::date, $2::text[]) as outcome",
      [week, followers],
    );
    expired.push({ week, outcome: answers[0]?.outcome ?? "busy" });
  }
  return expired;
}

/** Forgets the batches of weeks that are gone. Returns how many, at most `limit`. */
export function expireBatches(pool: Pool, lease: Lease, limit: number): Promise<number> {
  return inTransaction(pool, "read committed", async (client) => {
    await requireLease(client, lease);
    const { rowCount } = await client.query(
      `delete from stream_batches
       where ctid = any (array(
         select ctid
         from stream_batches
         where week <= (select (raw_from at time zone 'UTC')::date - 7 from clock)
           and to_regclass('stream_events_' || to_char(week, 'YYYYMMDD')) is null
         limit $1
       ))`,
      [limit],
    );
    return rowCount ?? 0;
  });
}
