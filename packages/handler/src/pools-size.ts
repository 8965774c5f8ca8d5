/**
 * How many connections a process opens at most, for each purpose: one table for the local runtime,
 * and what a deployed function's wrapper says that one invocation uses at once.
 */
import type { Purpose } from "./config.ts";

/** All functions share the process; the roles' own `connection limit` lies above these. */
const local: Readonly<Record<Purpose, number>> = {
  // Eight of `pulse`, four of ingest, the hourly crons', and requests that write.
  worker: 24,
  orders: 32,
  // More at once than the machine has cores only queue inside PostgreSQL.
  reports: 12,
  owner: 2,
};

const needed = new Map<Purpose, number>();

/** Called by a wrapper when it is made, before anything connects; the greatest of a process holds. */
export function needConnections(purpose: Purpose, count: number): void {
  needed.set(purpose, Math.max(count, needed.get(purpose) ?? 0));
}

export function poolSize(purpose: Purpose, deployed: boolean): number {
  return deployed ? (needed.get(purpose) ?? 1) : local[purpose];
}
