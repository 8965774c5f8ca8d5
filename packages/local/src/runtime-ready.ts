/** Whether a runtime does what it is for: asked from outside, as a user would. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "@headrace/db";
import { unavailable } from "@headrace/kernel";

export interface ReadyOptions {
  readonly url: string;
  readonly token: string;
  readonly owner: Sql;
  /** Of `pulseFence` before the schedule began: a greater one is ours. */
  readonly fenceBefore: number;
  /** Whether each poller knows where to go on. */
  readonly pollersRead: () => boolean;
  readonly signal: AbortSignal;
}

/** An earlier holder of the lease of `pulse` that was killed keeps it for 10 s. */
const MOST_MILLIS = 45_000;
const LOOK_MILLIS = 40;

/** Throws `runtime.not_ready` (unavailable) that says what does not answer; rejects when aborted. */
export async function untilReady(options: ReadyOptions): Promise<void> {
  const startedAt = performance.now();
  for (;;) {
    const missing = await whatIsMissing(options);
    if (missing === undefined) return;
    if (performance.now() - startedAt > MOST_MILLIS)
      throw unavailable("runtime.not_ready", `Headrace did not become ready: ${missing}`);
    await sleep(LOOK_MILLIS, undefined, { signal: options.signal });
    options.signal.throwIfAborted();
  }
}

async function whatIsMissing(options: ReadyOptions): Promise<string | undefined> {
  const { url, token, owner, fenceBefore, pollersRead, signal } = options;
  if (!pollersRead()) return "the pollers do not read yet";
  if ((await pulseFence(owner)) <= fenceBefore) return "the crons do not run (pulse has no lease)";
  const headers = { authorization: `Bearer ${token}` };
  for (const path of ["/health", "/v1/reports/kpi"]) {
    const response = await fetch(`${url}${path}`, { headers, signal });
    const text = await response.text();
    if (response.status !== 200) return `GET ${path} answers ${response.status}: ${text}`;
  }
  return undefined;
}

/** Grows each time that an invocation of `pulse` takes its lease. */
export async function pulseFence(owner: Sql): Promise<number> {
  const { rows } = await owner.query<{ fence: number }>(
    "select coalesce(max(fence), 0) as fence from leases where name = 'pulse'",
  );
  return rows[0]?.fence ?? 0;
}
