/**
 * Folds open window states into the rows of all four sizes, and marks rows final.
 *
 * One slice is one repeatable-read transaction: take open states off the queue, merge them into the
 * states of their rows, write the rows. A reader sees the queue and the rows of one snapshot, so an
 * event is counted exactly once before, during and after. The runner's fence is the transaction's
 * first write: one that lost its lease commits nothing. A serialisation failure changes nothing and
 * is for the caller to repeat.
 */
import { WINDOW_SIZES } from "@headrace/windows";
import { type Lease, requireLease } from "../leases.ts";
import { inTransaction, type Pool, type Sql } from "../sql.ts";
import { foldOpenWindows, readTerms } from "./fold-open-windows.ts";
import { takeOpenWindows } from "./open-windows.ts";
import { writeWindows } from "./window-rows.ts";

export interface FinishedSlice {
  /** Open states folded. */
  readonly folded: number;
  /** Rows that became final without new figures. */
  readonly finalised: number;
}

/** `limit`: open states, and rows to make final, at most; bounds the transaction's time. */
export function finishWindows(pool: Pool, lease: Lease, limit: number): Promise<FinishedSlice> {
  return inTransaction(pool, "repeatable read", async (client) => {
    await requireLease(client, lease);
    const taken = await takeOpenWindows(client, limit);
    const terms = await readTerms(client);
    const written =
      taken.length === 0 ? [] : await foldOpenWindows(client, taken, WINDOW_SIZES, terms);
    if (written.length > 0) await writeWindows(client, written);
    return { folded: taken.length, finalised: await markFinal(client, limit) };
  });
}

/** Rows that the watermark has passed, though nothing came. */
async function markFinal(sql: Sql, limit: number): Promise<number> {
  const { rowCount } = await sql.query({
    name: "mark-windows-final",
    text: `update realtime_aggregates
           set final = true,
               revision = 0
           where ctid = any (array(
             select ctid
             from realtime_aggregates
             where not final
               and window_end <= (select watermark from clock)
             order by window_end
             limit $1
           ))`,
    values: [limit],
  });
  return rowCount ?? 0;
}

/** Whether a slice would change anything; a cheap look that writes nothing. */
export async function hasUnfinishedWindows(sql: Sql): Promise<boolean> {
  const { rows } = await sql.query<{ found: boolean }>(
    `select
       exists (select from open_windows)
       or exists (
         select
         from realtime_aggregates
         where not final
           and window_end <= (select watermark from clock)
       ) as found`,
  );
  return rows[0]?.found === true;
}

/** Lets the overall watermark rise as far as the partitions allow. Instant in µs, null: not known. */
export async function advanceWatermark(sql: Sql): Promise<number | null> {
  const { rows } = await sql.query<{ watermark: number | null }>(
    // Each call is worked out anew, and a partition may stop being idle between two of them.
    `with risen as (
       update clock
       set watermark = greatest(watermark, overall_watermark())
       where watermark is null and overall_watermark() is not null
          or watermark < overall_watermark()
       returning watermark
     )
     select coalesce((select watermark from risen), watermark) as watermark
     from clock`,
  );
  return rows[0]?.watermark ?? null;
}

/**
 * Drops states and rows past their retention; at most `limit` of each. Returns how many.
 *
 * A row goes a minute after the finisher has stopped making such rows again: were it the other way
 * round, a late event between the two would make a row that holds nothing but itself.
 */
export async function expireWindows(pool: Pool, lease: Lease, limit: number): Promise<number> {
  return inTransaction(pool, "repeatable read", async (client) => {
    await requireLease(client, lease);
    const states = await client.query(
      `update realtime_aggregates
       set state = null
       where ctid = any (array(
         select ctid
         from realtime_aggregates
         where size in ('10s', '1m')
           and state is not null
           and final
           and window_start < now() - (select state_retention from settings)
         limit $1
       ))`,
      [limit],
    );
    const rawless = await client.query(
      `update realtime_aggregates
       set state = null
       where ctid = any (array(
         select ctid
         from realtime_aggregates
         where size in ('1h', '1d')
           and state is not null
           and final
           and window_start < (select raw_from from clock)
         limit $1
       ))`,
      [limit],
    );
    const rows = await client.query(
      `delete from realtime_aggregates
       where ctid = any (array(
         select ctid
         from realtime_aggregates
         where final
           and (
             size = '10s' and window_end < now() - (select window_10s_retention from settings) - interval '1 minute'
             or size = '1m' and window_end < now() - (select window_1m_retention from settings) - interval '1 minute'
           )
         limit $1
       ))`,
      [limit],
    );
    return [states, rawless, rows].reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0);
  });
}
