/**
 * What PostgreSQL knows of the raw events that have just come: who reads them by transaction or by time
 * goes through every block that the BRIN index has not summed up, and the planner of a week that was
 * never analysed takes the wrong index.
 */
import { followSlice, type Slice } from "./followers/follow.ts";
import type { Lease } from "./leases.ts";
import type { Pool } from "./sql.ts";

/** The lease whose cursor tells since when events have come. */
export const STATISTICS_KEEPER = "keep-statistics";

/** Brings them up to date for the weeks that the next slice touches; undefined when there is none. */
export function keepStatistics(
  pool: Pool,
  lease: Lease,
  limit: number,
): Promise<Slice | undefined> {
  return followSlice(pool, lease, limit, async (client, { fromTx, toTx }) => {
    await client.query(
      `select keep_event_statistics(array(
         select distinct week
         from stream_batches
         where tx >= $1
           and tx < $2
       ))`,
      [fromTx, toTx],
    );
  });
}
