/**
 * How near the ingest path comes to PostgreSQL's own COPY, in the same run and on the same rows.
 *
 * The limit is COPY of bytes that were prepared beforehand into the same table with the same
 * indexes, as many rows a batch, one commit a batch, over as many connections as the path takes in
 * partitions at once. The path is the exported function with the event that Lambda sends: base64,
 * JSON, validation, identity, windows, lateness, progress, commit. The two take turns; a ratio is
 * the median of its rounds.
 */

import { type Bench, type BenchDatabase, median, withDatabase } from "./bench.ts";
import { endToEndRate } from "./end-to-end.ts";
import { compareAll, steadyRateOfAll } from "./everything.ts";
import { copyLines, copyRate, emptyTables, ensureWeeks, IngestPath } from "./ingest-path.ts";

interface Steady {
  /** Rows that are taken in before any count. */
  readonly warmUp: number;
  readonly rounds: number;
  /** Per round. */
  readonly rows: number;
  /** With every result on. */
  readonly rowsOfAll: number;
}

interface Scale {
  readonly rounds: number;
  /** Per round and partition. */
  readonly rows: number;
  /** With every result on. */
  readonly rowsOfAll: number;
  readonly stored: number;
  /** Beside the stored rows, and beside none. */
  readonly steady: Steady;
}

const WHOLE: Scale = {
  rounds: 7,
  rows: 50_000,
  rowsOfAll: 1_000_000,
  stored: 10_000_000,
  steady: { warmUp: 300_000, rounds: 5, rows: 100_000, rowsOfAll: 400_000 },
};

const QUICK: Scale = {
  rounds: 3,
  rows: 20_000,
  rowsOfAll: 250_000,
  stored: 200_000,
  steady: { warmUp: 50_000, rounds: 3, rows: 20_000, rowsOfAll: 50_000 },
};

export const ingest: Bench = ({ quick }) =>
  withDatabase(async (database) => {
    const path = await IngestPath.open(database);
    const { rounds, rows, rowsOfAll, stored, steady } = quick ? QUICK : WHOLE;
    const one = await compare(path, database, { batch: 5_000, partitions: 1, rounds, rows });
    const small = await compare(path, database, {
      batch: 500,
      partitions: 1,
      rounds,
      rows: rows / 2,
    });
    const large = await compare(path, database, { batch: 10_000, partitions: 1, rounds, rows });
    const two = await compare(path, database, { batch: 5_000, partitions: 2, rounds, rows });
    const all = await compareAll(path, database, rowsOfAll);
    const end = await endToEnd(quick);
    const flat = await rateWithStored(path, database, stored, steady);
    await path.close();
    return {
      copy_rows_per_second_p1: one.copy,
      path_rows_per_second_p1: one.path,
      ratio_p1_b500: small.ratio,
      ratio_p1_b5000: one.ratio,
      ratio_p1_b10000: large.ratio,
      copy_rows_per_second_p2: two.copy,
      ratio_p2_b5000: two.ratio,
      ratio_all_p1_b5000: all.ratio,
      all_rows_per_second_p1: all.rate,
      ...all.shares,
      rows_stored: stored,
      ratio_10m_stored: flat.path,
      ratio_all_10m_stored: flat.all,
      end_to_end_rows_per_second: end,
      ratio_end_to_end: end / one.path,
      ratio_end_to_end_all: end / all.rate,
    };
  });

/** Before the history is stored: the disk writes that for minutes. */
async function endToEnd(quick: boolean): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < (quick ? 1 : 5); round += 1)
    rates.push(await endToEndRate(quick ? 60_000 : 400_000));
  console.log(`end to end: ${rates.map((rate) => Math.round(rate)).join(" ")} rows/s`);
  return median(rates);
}

interface Comparison {
  readonly batch: number;
  readonly partitions: number;
  readonly rounds: number;
  /** Per round and partition. */
  readonly rows: number;
}

async function compare(
  path: IngestPath,
  database: BenchDatabase,
  { batch, partitions, rounds, rows }: Comparison,
): Promise<{ copy: number; path: number; ratio: number }> {
  const copies: number[] = [];
  const paths: number[] = [];
  const partitionNumbers = Array.from({ length: partitions }, (_, index) => index);
  // The first round warms caches and the compiler up and is not counted.
  for (let round = 0; round <= rounds; round += 1) {
    const prepared = partitionNumbers.map((it) => path.batches(it, rows, batch).map(copyLines));
    await emptyTables(database.owner);
    const copy = await copyRate(database, prepared);
    const batches = partitionNumbers.map((it) => path.batches(it, rows, batch));
    await emptyTables(database.owner);
    const rate = await path.run(batches);
    if (round === 0) continue;
    copies.push(copy);
    paths.push(rate);
  }
  const ratios = paths.map((rate, index) => rate / (copies[index] ?? Number.NaN));
  console.log(
    `${partitions} partition(s), batches of ${batch}: ratios ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}`,
  );
  return { copy: median(copies), path: median(paths), ratio: median(ratios) };
}

const DAY_MILLIS = 86_400_000;

interface Flatness {
  readonly path: number;
  /** With every result on. */
  readonly all: number;
}

/**
 * The path's rate with many rows stored ÷ its rate with none.
 *
 * The stored rows are history as a shop has it, a million a day up to now, vacuumed as autovacuum
 * would have. Each side warms up first: after a checkpoint the first change of every page is written
 * whole, which a server at work pays once in a quarter of an hour.
 */
async function rateWithStored(
  path: IngestPath,
  database: BenchDatabase,
  stored: number,
  steady: Steady,
): Promise<Flatness> {
  await emptyTables(database.owner);
  const empty = await steadyRate(path, steady);
  const emptyAll = await steadyRateOfAll(path, database, steady.rowsOfAll);
  await emptyTables(database.owner);
  const slice = 100_000;
  const now = Date.now();
  for (let at = 0; at < stored; at += slice) {
    const fromMillis = now - ((stored - at) / 1_000_000) * DAY_MILLIS;
    const toMillis = fromMillis + (slice / 1_000_000) * DAY_MILLIS;
    await ensureWeeks(database.owner, fromMillis, toMillis);
    await copyRate(database, [
      path.batches(0, slice, 10_000, { fromMillis, toMillis }).map(copyLines),
    ]);
  }
  await database.owner.query("vacuum analyze stream_events");
  await database.owner.query("checkpoint");
  const full = await steadyRate(path, steady);
  const fullAll = await steadyRateOfAll(path, database, steady.rowsOfAll);
  const text = (rate: number): string => `${Math.round(rate)} rows/s`;
  console.log(
    `${stored} rows stored: ${text(full)}, with none ${text(empty)}; every result on: ${text(fullAll)}, with none ${text(emptyAll)}`,
  );
  return { path: full / empty, all: fullAll / emptyAll };
}

async function steadyRate(path: IngestPath, { warmUp, rounds, rows }: Steady): Promise<number> {
  await path.run([path.batches(0, warmUp, 5_000)]);
  const rates: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    rates.push(await path.run([path.batches(0, rows, 5_000)]));
  }
  return median(rates);
}
