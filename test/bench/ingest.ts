/**
 * How near the ingest path comes to PostgreSQL's own COPY, in the same run and on the same rows.
 *
 * The limit is COPY of bytes that were prepared beforehand into the same table with the same
 * indexes, as many rows a batch, one commit a batch, over as many connections as the path takes in
 * partitions at once. The path is the exported function with the event that Lambda sends: base64,
 * JSON, validation, identity, windows, lateness, progress, commit. The two take turns; a ratio is
 * the median of its rounds.
 */

import { createPool, type Pool, roleUrl } from "@headrace/db";
import { decodeEvent, isRefusal } from "@headrace/events";
import { generateEvents } from "@headrace/traffic";
import { from as copyFrom } from "pg-copy-streams";
import { type Bench, type BenchDatabase, median, withDatabase } from "./bench.ts";
import { endToEndRate } from "./end-to-end.ts";

interface LambdaRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly timestampType: "LOG_APPEND_TIME";
  readonly value: string;
}

type Handler = (event: unknown, context: unknown) => Promise<{ batchItemFailures: unknown[] }>;

/** Lambda's limit of an event; larger batches come in parts. */
const MAX_EVENT_BYTES = 6 * 1024 * 1024;
/** Bytes of a record's JSON beside its value, about. */
const RECORD_BYTES = 160;
const USERS = 100_000;
/** Events a second in event time: a shop with a busy hour. */
const EVENT_RATE = 5_000;

export const ingest: Bench = ({ quick }) =>
  withDatabase(async (database) => {
    const path = await IngestPath.open(database);
    const rounds = quick ? 3 : 7;
    const rows = quick ? 20_000 : 50_000;
    const one = await compare(path, database, { batch: 5_000, partitions: 1, rounds, rows });
    const small = await compare(path, database, {
      batch: 500,
      partitions: 1,
      rounds,
      rows: rows / 2,
    });
    const large = await compare(path, database, { batch: 10_000, partitions: 1, rounds, rows });
    const two = await compare(path, database, { batch: 5_000, partitions: 2, rounds, rows });
    const end = await endToEnd(quick);
    const stored = quick ? 500_000 : 10_000_000;
    const flat = await rateWithStored(path, database, stored);
    await path.close();
    return {
      copy_rows_per_second_p1: one.copy,
      path_rows_per_second_p1: one.path,
      ratio_p1_b500: small.ratio,
      ratio_p1_b5000: one.ratio,
      ratio_p1_b10000: large.ratio,
      copy_rows_per_second_p2: two.copy,
      ratio_p2_b5000: two.ratio,
      rows_stored: stored,
      ratio_10m_stored: flat,
      end_to_end_rows_per_second: end,
      ratio_end_to_end: end / one.path,
    };
  });

/** The exported function, on this database, and the log of a topic that it reads. */
class IngestPath {
  readonly handler: Handler;
  readonly pool: Pool;
  #seed = 1;
  #timeMillis = Date.now() - 3_600_000;
  readonly #offsets = [0, 0];

  private constructor(handler: Handler, pool: Pool) {
    this.handler = handler;
    this.pool = pool;
  }

  static async open({ ownerUrl }: BenchDatabase): Promise<IngestPath> {
    process.env.DATABASE_WORKER_URL = roleUrl(ownerUrl, "headrace_worker");
    const { handler } = await import("../../functions/kafka/ingest-events.ts");
    return new IngestPath(
      handler as unknown as Handler,
      createPool({ connectionString: ownerUrl, max: 2 }),
    );
  }

  /** New records in batches, as Lambda cuts them. */
  batches(
    partition: number,
    rows: number,
    batch: number,
    stretch = this.#nextStretch(rows),
  ): LambdaRecord[][] {
    const cut: LambdaRecord[][] = [];
    let open: LambdaRecord[] = [];
    let bytes = 0;
    const options = { seed: this.#seed++, count: rows, users: USERS, ...stretch };
    for (const event of generateEvents(options)) {
      const value = Buffer.from(event.value).toString("base64");
      const size = value.length + RECORD_BYTES;
      if (open.length === batch || bytes + size > MAX_EVENT_BYTES) {
        cut.push(open);
        open = [];
        bytes = 0;
      }
      const offset = this.#offsets[partition] ?? 0;
      this.#offsets[partition] = offset + 1;
      const timestamp = event.timeMillis;
      open.push({
        topic: "events",
        partition,
        offset,
        timestamp,
        timestampType: "LOG_APPEND_TIME",
        value,
      });
      bytes += size;
    }
    return open.length === 0 ? cut : [...cut, open];
  }

  #nextStretch(rows: number): { fromMillis: number; toMillis: number } {
    const fromMillis = this.#timeMillis;
    this.#timeMillis += (rows / EVENT_RATE) * 1000;
    return { fromMillis, toMillis: this.#timeMillis };
  }

  /** Rows a second; partitions take their batches side by side, as one invocation has them. */
  async run(byPartition: readonly LambdaRecord[][][]): Promise<number> {
    let rows = 0;
    const startedAt = performance.now();
    for (
      let turn = 0;
      turn < Math.max(...byPartition.map((batches) => batches.length));
      turn += 1
    ) {
      const records: Record<string, LambdaRecord[]> = {};
      for (const [partition, batches] of byPartition.entries()) {
        const batch = batches[turn];
        if (batch === undefined) continue;
        records[`events-${partition}`] = batch;
        rows += batch.length;
      }
      const { batchItemFailures } = await this.handler({ eventSource: "aws:kafka", records }, {});
      if (batchItemFailures.length > 0) throw new Error("a batch failed: see the log above");
    }
    return (rows / (performance.now() - startedAt)) * 1000;
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

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

/** Raw rows and open states go; progress stays, since offsets go on. */
async function emptyTables(owner: Pool): Promise<void> {
  await owner.query(
    `select ensure_event_partitions(array(
       select (date_trunc('week', now() at time zone 'UTC') + make_interval(weeks => ahead))::date
       from generate_series(-1, 1) as ahead
     ))`,
  );
  await owner.query(
    "truncate stream_events, stream_batches, open_windows, stream_progress, stream_gaps",
  );
}

interface Prepared {
  readonly rows: number;
  readonly bytes: Buffer;
}

const COPY = `copy stream_events
  (event_id, event_time, event_type, user_id, session_id, value, amount_cents, duration,
   category, product_id, region, data, topic, partition, record_offset, record_time, late_class)
  from stdin`;

function copyLines(batch: readonly LambdaRecord[]): Prepared {
  const lines = batch.map(({ topic, partition, offset, timestamp, value }) => {
    const position = { topic, partition, offset, timestampMillis: timestamp };
    const event = decodeEvent(Buffer.from(value, "base64"), position, { horizonDays: 400 });
    if (isRefusal(event)) throw new Error(`the generator made a bad event: ${event.message}`);
    const columns = [
      event.id,
      event.timeText,
      event.type,
      event.userId,
      event.sessionId,
      event.value,
      event.amountCents,
      event.durationSeconds,
      event.category,
      event.productId,
      event.region,
      event.data?.replaceAll("\\", "\\\\"),
      topic,
      partition,
      offset,
      new Date(timestamp).toISOString(),
      0,
    ];
    return `${columns.map((column) => column ?? "\\N").join("\t")}\n`;
  });
  return { rows: batch.length, bytes: Buffer.from(lines.join("")) };
}

async function copyRate(
  { ownerUrl }: BenchDatabase,
  byConnection: readonly Prepared[][],
): Promise<number> {
  const pool = createPool({ connectionString: ownerUrl, max: byConnection.length });
  const clients = await Promise.all(byConnection.map(() => pool.connect()));
  const startedAt = performance.now();
  await Promise.all(
    byConnection.map(async (batches, index) => {
      const client = clients[index];
      if (client === undefined) throw new Error("no connection");
      for (const { bytes } of batches) {
        await client.query("begin");
        const copy = client.query(copyFrom(COPY));
        await new Promise<void>((resolve, reject) => {
          copy.once("finish", resolve);
          copy.once("error", reject);
          copy.end(bytes);
        });
        await client.query("commit");
      }
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  for (const client of clients) client.release();
  await pool.end();
  return byConnection.flat().reduce((sum, { rows }) => sum + rows, 0) / seconds;
}

const DAY_MILLIS = 86_400_000;

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
): Promise<number> {
  await emptyTables(database.owner);
  const empty = await steadyRate(path);
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
  const full = await steadyRate(path);
  console.log(
    `${stored} rows stored: ${Math.round(full)} rows/s, with none ${Math.round(empty)} rows/s`,
  );
  return full / empty;
}

async function steadyRate(path: IngestPath): Promise<number> {
  await path.run([path.batches(0, 300_000, 5_000)]);
  const rates: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    rates.push(await path.run([path.batches(0, 100_000, 5_000)]));
  }
  return median(rates);
}

async function ensureWeeks(owner: Pool, fromMillis: number, toMillis: number): Promise<void> {
  await owner.query(
    `select ensure_event_partitions(array(
       select distinct date_trunc('week', moment at time zone 'UTC')::date
       from unnest(array[$1, $2]::timestamptz[]) as moment
     ))`,
    [new Date(fromMillis).toISOString(), new Date(toMillis).toISOString()],
  );
}
