/**
 * The scheduler of one machine: runs each job soon after the start and then at its pace.
 *
 * A job is not started while its last run goes on, unless its next run is meant to overlap it. A run
 * that failed is logged and comes again sooner than its pace says, since a job may be paced by the day.
 */
import type { Logger } from "@headrace/kernel";

export interface CronJob {
  readonly name: string;
  /** Between the starts of two runs. */
  readonly everySeconds: number;
  readonly overlaps: boolean;
  run(): Promise<unknown>;
}

export interface CronRunner {
  /** Starts no run any more; settles when those under way have ended, however long that takes. */
  stop(): Promise<void>;
}

const RETRY_MILLIS = 10_000;

export function startCrons(jobs: readonly CronJob[], log: Logger): CronRunner {
  const timers = new Set<NodeJS.Timeout>();
  const running = new Set<Promise<void>>();
  let stopped = false;

  const begin = (job: CronJob): void => {
    if (stopped) return;
    const run = attempt(job, log).then((isDone) => {
      running.delete(run);
      if (!isDone) later(job);
    });
    running.add(run);
  };
  const later = (job: CronJob): void => {
    if (stopped || job.everySeconds * 1000 <= RETRY_MILLIS) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      begin(job);
    }, RETRY_MILLIS);
    timers.add(timer);
  };

  for (const job of jobs) {
    const paced = job.overlaps ? job : oneAtATime(job);
    timers.add(setInterval(() => begin(paced), job.everySeconds * 1000));
    begin(paced);
  }
  return {
    async stop() {
      stopped = true;
      for (const timer of timers) clearTimeout(timer);
      while (running.size > 0) await Promise.all(running);
    },
  };
}

/** A run that finds another under way does nothing. */
function oneAtATime(job: CronJob): CronJob {
  let isRunning = false;
  return {
    ...job,
    async run() {
      if (isRunning) return;
      isRunning = true;
      try {
        await job.run();
      } finally {
        isRunning = false;
      }
    },
  };
}

/** Never rejects; false when the run failed. */
async function attempt(job: CronJob, log: Logger): Promise<boolean> {
  try {
    await job.run();
    return true;
  } catch (error) {
    log.error("a scheduled function failed", { function: job.name, error });
    return false;
  }
}
