/** Table `audit_runs`: what the audit found each time, kept for 90 days. */
import { type Lease, requireLease } from "../leases.ts";
import { instantText, inTransaction, type Pool } from "../sql.ts";
import type { AuditRange } from "./difference.ts";

export interface AuditRun extends AuditRange {
  readonly startedMicros: number;
  readonly ok: boolean;
  readonly checked: readonly unknown[];
  /** As the answer lists them: what, key, expected, actual. */
  readonly differences: readonly unknown[];
  readonly atOffsets: Readonly<Record<string, number>>;
}

const KEPT = "90 days";

export function recordAudit(pool: Pool, lease: Lease, run: AuditRun): Promise<void> {
  return inTransaction(pool, "read committed", async (client) => {
    await requireLease(client, lease);
    await client.query("delete from audit_runs where started_at < now() - $1::interval", [KEPT]);
    await client.query(
      `insert into audit_runs
         (started_at, ended_at, range_from, range_to, ok, checked, differences, at_offsets)
       values ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7)`,
      [
        instantText(run.startedMicros),
        instantText(run.fromMicros),
        instantText(run.toMicros),
        run.ok,
        JSON.stringify(run.checked),
        JSON.stringify(run.differences),
        JSON.stringify(run.atOffsets),
      ],
    );
  });
}
