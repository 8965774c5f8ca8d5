/**
 * The ingest path with every result on: from the first record until all results hold all events, the
 * crons working beside ingest in the same process as the local runtime has them. Events of 24 hours of
 * event time, so that most of what they make is finished.
 */
import {
  createPool,
  FOLLOWERS,
  haveFollowed,
  type Pool,
  releaseLease,
  roleUrl,
  takeLease,
} from "@headrace/db";
import { type Cron, logger } from "@headrace/handler";
import { functionsOf } from "../../functions/manifest.ts";
import type { BenchDatabase } from "./bench.ts";
import { copyLines, copyRate, emptyTables, type IngestPath } from "./ingest-path.ts";

const DAY_MILLIS = 86_400_000;

export interface AllResults {
  readonly rate: number;
  readonly ratio: number;
  /** Seconds that each result's cron was at work ÷ seconds that all took. */
  readonly shares: Readonly<Record<string, number>>;
}

/** With every result on, until all are caught up, against COPY of the same rows. */
export async function compareAll(
  path: IngestPath,
  database: BenchDatabase,
  rows: number,
): Promise<AllResults> {
  const toMillis = Date.now();
  const stretch = { fromMillis: toMillis - DAY_MILLIS, toMillis };
  await emptyTables(database.owner);
  const copy = await copyRate(database, [path.batches(0, rows, 5_000, stretch).map(copyLines)]);
  await emptyTables(database.owner);
  const batches = path.batches(0, rows, 5_000, stretch);
  const all = await withEverything(database, rows, () => path.run([batches]));
  const seconds = rows / all.rate;
  const shares = Object.entries(all.busySeconds).map(([name, busy]) => [
    `share_${name.replaceAll("-", "_")}`,
    busy / seconds,
  ]);
  console.log(
    `every result on: ${Math.round(all.rate)} rows/s, COPY ${Math.round(copy)} rows/s; caught up ${all.catchUpSeconds.toFixed(1)} s after the last batch`,
  );
  return { rate: all.rate, ratio: all.rate / copy, shares: Object.fromEntries(shares) };
}

/**
 * Events a second with every result on, beside what is stored already: followers and finisher come to
 * its end first.
 */
export async function steadyRateOfAll(
  path: IngestPath,
  database: BenchDatabase,
  rows: number,
): Promise<number> {
  await withEverything(database, 0, async () => {});
  const toMillis = Date.now();
  const stretch = { fromMillis: toMillis - (rows / 1_000_000) * DAY_MILLIS, toMillis };
  const batches = path.batches(0, rows, 5_000, stretch);
  return (await withEverything(database, rows, () => path.run([batches]))).rate;
}

interface Everything {
  /** Events a second, until all results are caught up. */
  readonly rate: number;
  /** Seconds that each cron was at work. */
  readonly busySeconds: Readonly<Record<string, number>>;
  /** From the end of ingest until all results were caught up. */
  readonly catchUpSeconds: number;
}

interface Working {
  readonly cron: Cron;
  readonly every: number;
  busyMillis: number;
}

/** Those of `pulse`, but for what Kafka would have to answer. */
const LEFT_OUT: ReadonlySet<string> = new Set(["watch-progress", "fill-gaps"]);

/** `ingest` takes in `rows` events. */
async function withEverything(
  { ownerUrl, owner }: BenchDatabase,
  rows: number,
  ingest: () => Promise<unknown>,
): Promise<Everything> {
  const crons = await fastCrons();
  const worker = createPool({
    connectionString: roleUrl(ownerUrl, "headrace_worker"),
    max: crons.length + 1,
  });
  worker.on("error", () => {}); // the server is stopped while a connection says goodbye
  const ending = new AbortController();
  const startedAt = performance.now();
  const running = crons.map((it) => keepRunning(it, worker, ending.signal));
  await ingest();
  const ingestedAt = performance.now();
  while (!(await isCaughtUp(owner))) await new Promise((resolve) => setTimeout(resolve, 20));
  const endedAt = performance.now();
  ending.abort();
  await Promise.all(running);
  await worker.end();
  return {
    rate: (rows / (endedAt - startedAt)) * 1000,
    busySeconds: Object.fromEntries(
      crons.map(({ cron, busyMillis }) => [cron.name, busyMillis / 1000]),
    ),
    catchUpSeconds: (endedAt - ingestedAt) / 1000,
  };
}

async function fastCrons(): Promise<Working[]> {
  const entries = functionsOf("cron").filter(
    ({ file, trigger }) => trigger.every < 60 && !LEFT_OUT.has(file.slice("cron/".length)),
  );
  return Promise.all(
    entries.map(async ({ file, trigger }) => {
      const { cron } = (await import(`../../functions/${file}.ts`)) as { cron: Cron };
      return { cron, every: trigger.every, busyMillis: 0 };
    }),
  );
}

async function keepRunning(working: Working, pool: Pool, signal: AbortSignal): Promise<void> {
  const { cron, every } = working;
  const lease = await takeLease(pool, cron.name, "bench", 3_600);
  if (lease === undefined) throw new Error(`the lease of ${cron.name} is taken`);
  while (!signal.aborted) {
    const startedAt = performance.now();
    await cron.run({ pool, lease, log: logger(), signal });
    const tookMillis = performance.now() - startedAt;
    working.busyMillis += tookMillis;
    const restMillis = Math.max(0, every * 1000 - tookMillis);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, restMillis);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
  await releaseLease(pool, lease);
}

async function isCaughtUp(owner: Pool): Promise<boolean> {
  const { rows } = await owner.query<{ tx: number; is_folded: boolean }>(
    `select
       coalesce((select max(tx) + 1 from stream_batches), 0) as tx,
       not exists (select from open_windows) as is_folded`,
  );
  const [now] = rows;
  if (now === undefined || !now.is_folded) return false;
  return haveFollowed(owner, FOLLOWERS, now.tx);
}
