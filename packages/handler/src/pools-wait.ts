/**
 * How long a process waits for a connection, for each purpose. Somebody waits behind a request, who is
 * better told to come back; a run that nobody waits for outlasts a database that has to wake (Aurora
 * from 0 capacity: 15 s or more).
 */
import type { Purpose } from "./config.ts";

export const REQUEST_WAIT_MILLIS = 2_000;

const deployed: Readonly<Record<Purpose, number>> = {
  // Below the shortest timeout of the functions that use it (60 s), so that they can say what failed.
  worker: 45_000,
  orders: REQUEST_WAIT_MILLIS,
  reports: REQUEST_WAIT_MILLIS,
  // A deploy that fails has to be begun again.
  owner: 90_000,
};

const requested = new Set<Purpose>();

/** Called by the wrapper of requests when it is made, before anything connects. */
export function waitAsRequest(purpose: Purpose): void {
  requested.add(purpose);
}

/** A machine's own database does not sleep. */
export function connectWaitMillis(purpose: Purpose, isDeployed: boolean): number {
  return isDeployed && !requested.has(purpose) ? deployed[purpose] : REQUEST_WAIT_MILLIS;
}
