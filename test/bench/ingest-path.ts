/**
 * The ingest path and its limit: the exported function with the events that Lambda sends, and COPY of
 * the same rows into the same table.
 */
import { createPool, type Pool, roleUrl } from "@headrace/db";
import { decodeEvent, isRefusal } from "@headrace/events";
import { generateEvents } from "@headrace/traffic";
import { from as copyFrom } from "pg-copy-streams";
import type { BenchDatabase } from "./bench.ts";

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

/** The exported function, on this database, and the log of a topic that it reads. */
export class IngestPath {
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
    const pool = createPool({ connectionString: ownerUrl, max: 2 });
    pool.on("error", () => {}); // the server is stopped while a connection says goodbye
    return new IngestPath(handler as unknown as Handler, pool);
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

/** All that was taken in goes, and all that was made of it. */
export async function emptyTables(owner: Pool): Promise<void> {
  await owner.query(
    `select ensure_event_partitions(array(
       select (date_trunc('week', now() at time zone 'UTC') + make_interval(weeks => ahead))::date
       from generate_series(-1, 1) as ahead
     ))`,
  );
  const { rows } = await owner.query<{ tables: string }>(
    `select string_agg(relname, ', ') as tables
     from pg_class
     where relkind in ('r', 'p')
       and not relispartition
       and relnamespace = 'public'::regnamespace
       and relname not in ('clock', 'epochs', 'erasure_key', 'event_types', 'joins', 'leases', 'migrations', 'settings')`,
  );
  await owner.query(`truncate ${rows[0]?.tables}`);
}

export interface Prepared {
  readonly rows: number;
  readonly bytes: Buffer;
}

const COPY = `copy stream_events
  (event_id, event_time, event_type, user_id, session_id, value, amount_cents, duration,
   category, product_id, region, data, topic, partition, record_offset, record_time, late_class)
  from stdin`;

export function copyLines(batch: readonly LambdaRecord[]): Prepared {
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

export async function copyRate(
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

export async function ensureWeeks(
  owner: Pool,
  fromMillis: number,
  toMillis: number,
): Promise<void> {
  await owner.query(
    `select ensure_event_partitions(array(
       select distinct date_trunc('week', moment at time zone 'UTC')::date
       from unnest(array[$1, $2]::timestamptz[]) as moment
     ))`,
    [new Date(fromMillis).toISOString(), new Date(toMillis).toISOString()],
  );
}
