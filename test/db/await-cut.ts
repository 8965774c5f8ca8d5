/** Waits for the cut, which a write transaction of any database of the server holds back. */
import type { Pool } from "@headrace/db";

/** Until followers may handle every event and every change of a dimension that is stored. */
export async function awaitCut(pool: Pool): Promise<void> {
  for (;;) {
    const { rows } = await pool.query<{ passed: boolean }>(
      `select
         tx_horizon() > all (array(
           select max(tx) from stream_batches
           union all
           select max(tx) from dim_users
           union all
           select max(tx) from dim_products
         )) is not false as passed`,
    );
    if (rows[0]?.passed === true) return;
  }
}

/** `work` once the cut has passed all that is stored. */
export async function afterCut<Result>(pool: Pool, work: () => Promise<Result>): Promise<Result> {
  await awaitCut(pool);
  return work();
}
