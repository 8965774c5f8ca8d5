/** Transaction ids start again after a restore; see migration 0001 and `ensure_epoch`. */
import type { Sql } from "./sql.ts";

export interface EpochCheck {
  readonly epoch: number;
  /** Whether this very call raised it: the server is not the one that the last epoch was made on. */
  readonly raised: boolean;
}

/** To be called on every new connection before its first write. */
export async function ensureEpoch(sql: Sql): Promise<EpochCheck> {
  const { rows } = await sql.query<{ epoch: number }>("select ensure_epoch() as epoch");
  const epoch = rows[0]?.epoch ?? 0;
  return { epoch: Math.abs(epoch), raised: epoch < 0 };
}
