/**
 * Takes a batch in that failed too often: as a whole if it can be by now, else in parts, down to
 * single records. A record that fails alone becomes a dead letter (`batch.gave_up`); every other one
 * is taken in as always, in order.
 *
 * Each part, and each trial, is a transaction of its own that also moves progress on, rather than a
 * savepoint in a long one: so a constraint that is checked at commit counts too, as does a window or
 * a partition that cannot be written, and no transaction is longer than an ordinary batch's. Whoever
 * dies in between has got some way; the same batch again goes on from there.
 */
import type { Refusal } from "@headrace/events";
import { AppError } from "@headrace/kernel";
import { GAVE_UP } from "../dead-letters.ts";
import { reasonWithoutData } from "../sql.ts";
import type { IncomingRecord, PartitionBatch } from "./batch.ts";
import type { Ingested } from "./ingest-partition.ts";

/** What may be given up, and who hears of it. */
export interface GivingUp {
  /** Whether an error may be the records' own. With any other one the batch fails as it stands. */
  isOfRecords(error: unknown): boolean;
  /** Told of each record before its dead letter is committed: in doubt twice, never not at all. */
  note(offset: number): void;
}

/** Takes a part in, or sets aside what is new of it. */
export type Take = (part: PartitionBatch, setAside?: Refusal) => Promise<Ingested>;

/** So one bad record of 10,000 costs 40 transactions, and 10,000 bad ones little over two each. */
const PARTS = 8;

export async function takeApart(
  batch: PartitionBatch,
  take: Take,
  givingUp: GivingUp,
): Promise<Ingested> {
  try {
    return await take(batch);
  } catch (error) {
    if (!givingUp.isOfRecords(error)) throw error;
    const records = [...batch.records];
    if (records.length <= 1) return take(batch, refusalOf(error));
    const taken: Ingested[] = [];
    for (const part of partsOf(batch, records)) taken.push(await takeApart(part, take, givingUp));
    return taken.reduce(sum);
  }
}

function partsOf(batch: PartitionBatch, records: readonly IncomingRecord[]): PartitionBatch[] {
  const { topic, partition, goesOnAt } = batch;
  const size = Math.ceil(records.length / PARTS);
  const parts: PartitionBatch[] = [];
  for (let from = 0; from < records.length; from += size) {
    const some = records.slice(from, from + size);
    const [first, last] = [some[0], some.at(-1)];
    if (first === undefined || last === undefined) break;
    parts.push({
      topic,
      partition,
      firstOffset: first.offset,
      lastOffset: last.offset,
      records: some,
      goesOnAt: records[from + size]?.offset ?? goesOnAt,
    });
  }
  return parts;
}

function refusalOf(error: unknown): Refusal {
  const cause = error instanceof AppError && error.cause !== undefined ? error.cause : error;
  const reason = reasonWithoutData(cause);
  return { code: GAVE_UP, path: "", message: `could not be stored, not even alone: ${reason}` };
}

const sum = (one: Ingested, other: Ingested): Ingested => ({
  stored: one.stored + other.stored,
  duplicates: one.duplicates + other.duplicates,
  deadLetters: one.deadLetters + other.deadLetters,
  erased: one.erased + other.erased,
  lateEvents: one.lateEvents + other.lateEvents,
  gap: one.gap + other.gap,
});
