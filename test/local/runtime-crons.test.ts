import { silentLogger } from "@headrace/kernel";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type CronJob, startCrons } from "../../packages/local/src/cron-runner.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A job whose runs end when told. */
function job(of: Partial<CronJob> = {}) {
  const runs: PromiseWithResolvers<void>[] = [];
  const cron: CronJob = {
    name: "job",
    everySeconds: 60,
    overlaps: false,
    run() {
      const run = Promise.withResolvers<void>();
      runs.push(run);
      return run.promise;
    },
    ...of,
  };
  return { cron, runs };
}

test("a job runs soon after the start and then at its pace", async () => {
  const { cron, runs } = job();
  startCrons([cron], silentLogger);
  expect(runs).toHaveLength(1);
  runs[0]?.resolve();
  await vi.advanceTimersByTimeAsync(59_000);
  expect(runs).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(runs).toHaveLength(2);
});

test("a job that still runs is left alone until its next turn", async () => {
  const { cron, runs } = job();
  startCrons([cron], silentLogger);
  await vi.advanceTimersByTimeAsync(150_000);
  expect(runs).toHaveLength(1);
  runs[0]?.resolve();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(runs).toHaveLength(2);
});

test("a job whose runs are meant to overlap is started beside itself", async () => {
  const { cron, runs } = job({ overlaps: true });
  startCrons([cron], silentLogger);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(runs).toHaveLength(2);
});

test("a run that fails is logged and comes again before its pace", async () => {
  const { cron, runs } = job({ everySeconds: 3600 });
  const error = vi.fn();
  startCrons([cron], { ...silentLogger, error });
  runs[0]?.reject(new Error("no database"));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(runs).toHaveLength(2);
  expect(error).toHaveBeenCalledWith(
    expect.any(String),
    expect.objectContaining({ function: "job" }),
  );
});

test("stop starts nothing any more and waits for what runs", async () => {
  const { cron, runs } = job({ overlaps: true });
  const crons = startCrons([cron], silentLogger);
  await vi.advanceTimersByTimeAsync(60_000);
  let isStopped = false;
  const stopped = crons.stop().then(() => {
    isStopped = true;
  });
  runs[0]?.reject(new Error("ended"));
  await vi.advanceTimersByTimeAsync(600_000);
  expect(runs).toHaveLength(2);
  expect(isStopped).toBe(false);
  runs[1]?.resolve();
  await stopped;
});
