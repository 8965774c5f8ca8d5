/**
 * Reports at 100 requests a second with a million events of 100,000 users stored, spread over the
 * last 24 hours. Open loop: requests start by the clock, so one that waits counts its waiting.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, quantile } from "./bench.ts";
import { produce, type System, untilStored, withSystem } from "./system.ts";

const RATE = 100;

export const reports: Bench = ({ quick }) =>
  withSystem(["--partitions", "4"], async (system) => {
    const count = quick ? 100_000 : 1_000_000;
    const now = Date.now();
    const stretch = { fromMillis: now - 86_400_000, toMillis: now };
    await produce(system, { seed: 3, count, users: 100_000, ...stretch });
    await untilStored(system, count);
    await untilFolded(system);
    const seconds = quick ? 5 : 30;
    const at = (): string => new Date(now - Math.random() * 80_000_000).toISOString();
    const asked: Record<string, () => string> = {
      kpi: () => "/v1/reports/kpi",
      kpi_earlier: () => `/v1/reports/kpi?window=5m&at=${at()}`,
      windows_10s: () => `/v1/reports/windows?size=10s&from=${at()}&limit=100`,
      windows_1m: () => `/v1/reports/windows?size=1m&event_type=purchase&from=${at()}&limit=100`,
      windows_1h: () =>
        `/v1/reports/windows?size=1h&from=${new Date(now - 86_400_000).toISOString()}`,
    };
    const figures: Record<string, number> = { events_stored: count };
    for (const [name, path] of Object.entries(asked)) {
      const times = await openLoop(system, path, seconds);
      figures[`${name}_p50_ms`] = quantile(times, 0.5);
      figures[`${name}_p99_ms`] = quantile(times, 0.99);
    }
    return figures;
  });

/** Waits until nothing is left to fold: what a quiet shop looks like. */
async function untilFolded(system: System): Promise<void> {
  for (let last = -1; ; ) {
    const answer = (await system.get("/v1/reports/windows?size=1d&limit=1000")) as {
      windows: { revision: number | null; event_count: number }[];
    };
    const sum = answer.windows.reduce(
      (total, row) => total + row.event_count + (row.revision ?? 0),
      0,
    );
    if (sum === last) return;
    last = sum;
    await sleep(3_000);
  }
}

/** Milliseconds from when each request was due to when its answer was there. */
async function openLoop(system: System, path: () => string, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let index = 0; index < RATE * seconds; index += 1) {
    const due = startedAt + (index * 1000) / RATE;
    const wait = due - performance.now();
    if (wait > 0) await sleep(wait);
    pending.push(
      system.get(path()).then(() => {
        times.push(performance.now() - due);
      }),
    );
  }
  await Promise.all(pending);
  return times.slice(Math.floor(times.length * 0.05));
}
