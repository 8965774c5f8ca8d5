/**
 * The wrapper of every scheduled function: one runner at a time, by a lease with a fence.
 *
 * The lease keeps a second runner from starting; the fence keeps a first one that was taken for dead
 * from committing: what a cron writes begins with `requireLease`. A run that finds the lease taken
 * does nothing and says so.
 */
import { randomUUID } from "node:crypto";
import { INVOCATION_CONNECTIONS } from "@headrace/capacity";
import { type Lease, type Pool, releaseLease, takeLease } from "@headrace/db";
import type { Logger } from "@headrace/kernel";
import middy from "@middy/core";
import { checkAtColdStart, databaseAddress } from "./config.ts";
import type { InvocationContext } from "./http-event.ts";
import { beginInvocation } from "./invocation.ts";
import { loggable, logger } from "./log.ts";
import { recordMetrics } from "./metrics.ts";
import { pool } from "./pools.ts";
import { needConnections } from "./pools-size.ts";

export interface CronContext {
  readonly pool: Pool;
  readonly lease: Lease;
  readonly log: Logger;
  /** Aborted when the runner has to end; a run with slices stops after the present one. */
  readonly signal: AbortSignal;
}

export interface Cron {
  /** Of its lease. */
  readonly name: string;
  run(context: CronContext): Promise<void>;
}

export interface CronResult {
  readonly ran: boolean;
}

export type CronHandler = (event: unknown, context: InvocationContext) => Promise<CronResult>;

export interface CronOptions {
  readonly pool?: () => Pool;
  readonly log?: Logger;
}

/** What is left for giving the lease back when the function's time runs out. */
const END_EARLY_MILLIS = 3_000;

export function cronHandler(cron: Cron, options: CronOptions = {}): CronHandler {
  checkAtColdStart(() => databaseAddress("worker"));
  needConnections("worker", INVOCATION_CONNECTIONS.cron);
  const respond = async (_event: unknown, context: InvocationContext): Promise<CronResult> => {
    beginInvocation(context.awsRequestId);
    const log = (options.log ?? logger()).with({
      cron: cron.name,
      requestId: context.awsRequestId,
    });
    const database = (options.pool ?? (() => pool("worker")))();
    const remaining = context.getRemainingTimeInMillis();
    const lease = await takeLease(database, cron.name, randomUUID(), remaining / 1000);
    if (lease === undefined) {
      log.info("another runner holds the lease");
      return { ran: false };
    }
    const signal = AbortSignal.timeout(Math.max(1, remaining - END_EARLY_MILLIS));
    try {
      await cron.run({ pool: database, lease, log, signal });
      return { ran: true };
    } catch (error) {
      recordMetrics({ CronFailures: 1 });
      throw error;
    } finally {
      await giveBack(database, lease, log);
    }
  };
  return middy<unknown, CronResult>().handler(respond as never) as never;
}

/** Never throws: it would hide what the run itself threw, and a lease ends by itself. */
export async function giveBack(database: Pool, lease: Lease, log: Logger): Promise<void> {
  await releaseLease(database, lease).catch((error: unknown) => {
    log.warn("a lease could not be given back; it ends by itself", { error: loggable(error) });
  });
}
