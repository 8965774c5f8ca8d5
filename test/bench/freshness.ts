/**
 * Produced → visible in the KPI report, while half of the end-to-end rate arrives.
 *
 * Events happen as they are produced. One KPI window holds the whole run, so its count tells which
 * are visible: an event's freshness is the time from handing it to the producer to the first answer
 * that counts as many. Answers are asked for one after the other, as by a dashboard in a hurry. Beside
 * that, how long events wait until each result is finished with them; reports do not wait for it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { generateEvents } from "@headrace/traffic";
import { type Bench, quantile } from "./bench.ts";
import { endToEndRate } from "./end-to-end.ts";
import { watchFollowers } from "./follower-ages.ts";
import { type System, untilStored, withSystem } from "./system.ts";

interface Kpi {
  readonly current: { readonly events: number };
}

interface Mark {
  readonly at: number;
  readonly count: number;
}

/** How often a slice is handed to the producer, in ms. */
const TICK_MILLIS = 20;
/** Between an answer and the next question. */
const LOOK_MILLIS = 20;

export const freshness: Bench = async ({ quick }) => {
  const rate = Math.floor((await endToEndRate(quick ? 60_000 : 300_000)) / 2);
  const seconds = quick ? 8 : 30;
  const { sent, seen, finished } = await withSystem(["--partitions", "4"], async (system) => {
    const ages = watchFollowers(system.databaseUrl);
    try {
      return { ...(await observe(system, rate, seconds)), finished: ages.figures() };
    } finally {
      await ages.stop();
    }
  });
  // The first seconds warm up.
  const from = rate * 3;
  const ages: number[] = [];
  let index = 0;
  for (const { at, count } of sent) {
    if (count < from) continue;
    while (index < seen.length && (seen[index]?.count ?? 0) < count) index += 1;
    const visible = seen[index];
    if (visible !== undefined) ages.push(visible.at - at);
  }
  return {
    events_per_second: rate,
    answers_per_second: seen.length / seconds,
    p50_ms: quantile(ages, 0.5),
    p99_ms: quantile(ages, 0.99),
    max_ms: quantile(ages, 1),
    ...finished,
  };
};

async function observe(
  system: System,
  rate: number,
  seconds: number,
): Promise<{ sent: Mark[]; seen: Mark[] }> {
  const sent: Mark[] = [];
  const seen: Mark[] = [];
  const from = Date.now();
  const at = new Date(from + seconds * 1000 + 10_000).toISOString();
  const path = `/v1/reports/kpi?window=${Math.ceil(seconds / 10) * 10 + 20}s&at=${at}`;
  const sending = send(system, rate, seconds, from, sent);
  let running = true;
  const watching = (async () => {
    while (running) {
      const { current } = (await system.get(path)) as Kpi;
      seen.push({ at: performance.now(), count: current.events });
      await sleep(LOOK_MILLIS);
    }
  })();
  const total = await sending;
  await untilStored(system, total);
  await sleep(200);
  running = false;
  await watching;
  return { sent, seen };
}

/** Evenly, by the clock: what a late tick missed goes with the next one. */
async function send(
  system: System,
  rate: number,
  seconds: number,
  fromMillis: number,
  sent: Mark[],
): Promise<number> {
  const count = rate * seconds;
  const toMillis = fromMillis + seconds * 1000;
  const options = { seed: 7, count, users: 100_000, fromMillis, toMillis };
  const events = generateEvents(options);
  const startedAt = performance.now();
  const pending: Promise<unknown>[] = [];
  let done = 0;
  while (done < count) {
    const due = Math.min(count, Math.floor(((performance.now() - startedAt) / 1000) * rate));
    const slice: { topic: string; key: string; value: string }[] = [];
    for (; done < due; done += 1) {
      const { value } = events.next();
      if (value === undefined) break;
      slice.push({ topic: "events", key: value.key, value: value.value });
    }
    if (slice.length > 0) {
      sent.push({ at: performance.now(), count: done });
      pending.push(system.producer.send(slice));
    }
    await sleep(TICK_MILLIS);
  }
  await Promise.all(pending);
  return done;
}
