/** Slow upkeep: partitions made ahead, bytes and states past their retention dropped. */
import { type Lease, requireLease } from "./leases.ts";
import { inTransaction, type Pool, type Sql } from "./sql.ts";

/** Makes this week's partition of raw events and the next ones, as many as settings say. */
export async function makePartitionsAhead(sql: Sql): Promise<void> {
  await sql.query(
    `select ensure_event_partitions(array(
       select (date_trunc('week', now() at time zone 'UTC') + make_interval(weeks => ahead))::date
       from settings
       cross join generate_series(0, partition_weeks_ahead) as ahead
       order by ahead
     ))`,
  );
}

/** Dead letters stay; what they held goes. Returns how many, at most `limit`. */
export function expireDeadLetterBytes(pool: Pool, lease: Lease, limit: number): Promise<number> {
  return inTransaction(pool, "read committed", async (client) => {
    await requireLease(client, lease);
    const { rowCount } = await client.query(
      `update dead_letters
       set bytes = null,
           key = null
       where dead_letter_id in (
         select dead_letter_id
         from dead_letters
         where created_at < now() - (select dead_letter_bytes_retention from settings)
           and (bytes is not null or key is not null)
         order by created_at
         limit $1
       )`,
      [limit],
    );
    return rowCount ?? 0;
  });
}
