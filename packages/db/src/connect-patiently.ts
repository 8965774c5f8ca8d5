/**
 * A connection to a server that may have to wake first: Aurora from 0 capacity takes 15 s or more,
 * Neon about one.
 *
 * Only silence and "the database system is starting up" are waited out. Whatever a wrong address or
 * password causes is thrown at once.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, type Pool, sqlState } from "./sql.ts";

const STARTING_UP = "57P03";
/** Long enough to leave a starting server in peace, short enough not to be noticed. */
const PAUSE_MS = 250;

/** `pool` limits each attempt; the last one begins before `waitMs` are over. */
export async function connectPatiently(pool: Pool, waitMs: number): Promise<Client> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    try {
      return await pool.connect();
    } catch (error) {
      if (!mayBeWaking(error) || performance.now() + PAUSE_MS >= deadline) throw error;
    }
    await sleep(PAUSE_MS);
  }
}

const mayBeWaking = (error: unknown): boolean =>
  sqlState(error) === STARTING_UP || isSilence(error);

/** Whether nobody answered in time: the system says so with a code, the driver's limits without. */
export function isSilence(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    ("code" in error && error.code === "ETIMEDOUT") ||
    /connection timeout|timeout expired/.test(error.message)
  );
}
