/**
 * Sessions that PostgreSQL does not end by itself: while a COPY waits for its client, no timeout is
 * looked at, neither `transaction_timeout` nor any other. A process that was stopped in the middle of
 * one would hold its partition, and the cut, for as long as it stands.
 */
import type { Sql } from "./sql.ts";

/**
 * Ends this role's sessions in this database whose transaction is a second past the role's own
 * `transaction_timeout`: none but those. Returns how many; without that timeout none.
 */
export async function endOverdueTransactions(sql: Sql): Promise<number> {
  const { rows } = await sql.query<{ ended: number }>(
    `select count(*) filter (where pg_terminate_backend(pid)) as ended
     from pg_stat_activity
     where datname = current_database()
       and usename = current_user
       and current_setting('transaction_timeout')::interval > interval '0'
       and xact_start < clock_timestamp() - current_setting('transaction_timeout')::interval - interval '1 second'`,
  );
  return rows[0]?.ended ?? 0;
}
