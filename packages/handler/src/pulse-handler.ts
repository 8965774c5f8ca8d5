/**
 * The wrapper of `pulse`: runs the crons that are faster than the scheduler's least step.
 *
 * The scheduler starts it every minute. An invocation takes over the lease from the one before,
 * which sees that somebody waits and ends, and runs each cron at its own pace until the next
 * invocation waits in turn, or for 150 s at most. Crons run side by side, each under its own lease,
 * so a slow one delays no other.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { awaitLease, hasWaiter, type Lease, type Pool, renewLease, takeLease } from "@headrace/db";
import { AppError, type Logger } from "@headrace/kernel";
import middy from "@middy/core";
import { checkAtColdStart, databaseAddress } from "./config.ts";
import {
  type Cron,
  type CronHandler,
  type CronOptions,
  type CronResult,
  giveBack,
} from "./cron-handler.ts";
import type { InvocationContext } from "./http-event.ts";
import { beginInvocation } from "./invocation.ts";
import { loggable, logger } from "./log.ts";
import { recordMetrics } from "./metrics.ts";
import { pool } from "./pools.ts";
import { needConnections } from "./pools-size.ts";

export interface PacedCron extends Cron {
  /** Seconds between the starts of two runs. */
  readonly every: number;
}

const PULSE = "pulse";
/** Longer than the scheduler's step by more than a start takes; shorter than two missed steps. */
const MAX_MILLIS = 150_000;
const END_EARLY_MILLIS = 5_000;
/** How soon a waiter, or the end of the function's time, is noticed. */
const LOOK_MILLIS = 500;
/** The next invocation waits for as long after a holder was killed. */
const PULSE_LEASE_SECONDS = 10;
/** Twice may fail before the lease ends. */
const RENEW_MILLIS = 3_000;
/** A cron's lease outlives its slowest slice; a runner that was killed blocks the next for as long. */
const CRON_LEASE_SECONDS = 15;

export function pulseHandler(crons: readonly PacedCron[], options: CronOptions = {}): CronHandler {
  checkAtColdStart(() => databaseAddress("worker"));
  // Each cron may hold one while it works, and the pulse's own lease is looked at beside them.
  needConnections("worker", crons.length + 1);
  const respond = async (_event: unknown, context: InvocationContext): Promise<CronResult> => {
    beginInvocation(context.awsRequestId);
    const log = (options.log ?? logger()).with({ requestId: context.awsRequestId });
    const database = (options.pool ?? (() => pool("worker")))();
    const lease = await takeOver(database, context);
    if (lease === undefined) return { ran: false };
    const ending = new AbortController();
    const running = crons.map((cron) =>
      keepRunning(cron, database, log.with({ cron: cron.name }), ending.signal),
    );
    try {
      await watch(database, lease, context, log);
    } finally {
      ending.abort();
      await Promise.all(running);
      await giveBack(database, lease, log);
    }
    return { ran: true };
  };
  return middy<unknown, CronResult>().handler(respond as never) as never;
}

/** Waits for the present holder to end; undefined when the function's time runs out before. */
async function takeOver(database: Pool, context: InvocationContext): Promise<Lease | undefined> {
  const me = randomUUID();
  for (;;) {
    const lease = await takeLease(database, PULSE, me, PULSE_LEASE_SECONDS);
    if (lease !== undefined) return lease;
    if (context.getRemainingTimeInMillis() < END_EARLY_MILLIS) return undefined;
    await awaitLease(database, PULSE, me);
    await sleep(LOOK_MILLIS / 2);
  }
}

/**
 * Returns when the crons have to end. A database that does not answer for a while is no reason to:
 * until the scheduler's next step nobody else would run them when it answers again.
 */
async function watch(
  database: Pool,
  lease: Lease,
  context: InvocationContext,
  log: Logger,
): Promise<void> {
  const endsAt = performance.now() + MAX_MILLIS;
  let renewedAt = performance.now();
  while (performance.now() < endsAt) {
    if (context.getRemainingTimeInMillis() < END_EARLY_MILLIS) return;
    try {
      if (await hasWaiter(database, lease)) return;
      if (performance.now() - renewedAt > RENEW_MILLIS) {
        if (!(await renewLease(database, lease))) return;
        renewedAt = performance.now();
      }
    } catch (error) {
      log.warn("the pulse's lease could not be looked at", { error: loggable(error) });
    }
    await sleep(LOOK_MILLIS);
  }
}

async function keepRunning(
  cron: PacedCron,
  database: Pool,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const holder = new LeaseHolder(database, cron.name);
  while (!signal.aborted) {
    const startedAt = performance.now();
    try {
      const lease = await holder.lease();
      if (lease !== undefined) await cron.run({ pool: database, lease, log, signal });
    } catch (error) {
      holder.forget(error);
      log.error("a cron's run failed; the next one tries again", { error: loggable(error) });
      recordMetrics({ CronFailures: 1 });
    }
    const restMillis = cron.every * 1000 - (performance.now() - startedAt);
    await sleep(Math.max(0, restMillis), undefined, { signal }).catch(() => {});
  }
  await holder.release(log);
}

/** Keeps a cron's lease from run to run, so that an idle cron writes next to nothing. */
class LeaseHolder {
  readonly #database: Pool;
  readonly #name: string;
  #lease: Lease | undefined;
  #renewedAt = 0;

  constructor(database: Pool, name: string) {
    this.#database = database;
    this.#name = name;
  }

  /** Undefined while another runner holds it. */
  async lease(): Promise<Lease | undefined> {
    const ageMillis = performance.now() - this.#renewedAt;
    if (this.#lease !== undefined && ageMillis < (CRON_LEASE_SECONDS * 1000) / 3) {
      return this.#lease;
    }
    const isHeld = this.#lease !== undefined && (await renewLease(this.#database, this.#lease));
    if (!isHeld) {
      const holder = randomUUID();
      this.#lease = await takeLease(this.#database, this.#name, holder, CRON_LEASE_SECONDS);
    }
    this.#renewedAt = performance.now();
    return this.#lease;
  }

  /** After an error that says that the lease is another's. */
  forget(error: unknown): void {
    if (error instanceof AppError && error.code === "lease.lost") this.#lease = undefined;
  }

  async release(log: Logger): Promise<void> {
    if (this.#lease !== undefined) await giveBack(this.#database, this.#lease, log);
  }
}
