/**
 * The event of a Kafka event source mapping, as AWS Lambda sends it, taken apart into one batch per
 * topic and partition.
 *
 * The types follow what is sent rather than the published typings: a tombstone's value is null or
 * left out, a key may be missing, header bytes are signed.
 */
import type { IncomingRecord, PartitionBatch } from "@headrace/db";
import { FIRST_POSITION_HEADER, type Position, parseFirstPosition } from "@headrace/events";
import type { KafkaRecord } from "@headrace/kafka";
import { invalid } from "@headrace/kernel";

export interface LambdaKafkaRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly timestampType: string;
  readonly key?: string | null;
  readonly value?: string | null;
  readonly headers?: readonly Readonly<Record<string, readonly number[]>>[] | null;
}

export interface LambdaKafkaEvent {
  readonly eventSource: string;
  /** Keyed `<topic>-<partition>`; a topic's name may hold hyphens, so the keys are not taken apart. */
  readonly records: Readonly<Record<string, readonly LambdaKafkaRecord[]>>;
}

export interface BatchItemFailure {
  readonly itemIdentifier: { readonly partition: string; readonly offset: number };
}

/** Batches in the order of topic and partition, each in the order of offsets; empty ones left out. */
export function partitionBatches(event: LambdaKafkaEvent): LambdaBatch[] {
  if (typeof event?.records !== "object" || event.records === null) {
    throw invalid("kafka.event", "this is no event of a Kafka event source: it has no records");
  }
  return Object.values(event.records)
    .filter((records) => records.length > 0)
    .map((records) => new LambdaBatch(records))
    .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
}

/** Decodes a record's bytes when it is asked for, so that this can run beside the database. */
export class LambdaBatch implements PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly records: Iterable<IncomingRecord>;
  readonly size: number;
  readonly #records: readonly LambdaKafkaRecord[];

  constructor(records: readonly LambdaKafkaRecord[]) {
    const sorted = inOrder(records) ? records : records.toSorted((a, b) => a.offset - b.offset);
    const [first] = sorted;
    const last = sorted.at(-1);
    if (first === undefined || last === undefined) throw invalid("kafka.event", "a batch is empty");
    this.topic = first.topic;
    this.partition = first.partition;
    this.firstOffset = first.offset;
    this.lastOffset = last.offset;
    this.size = sorted.length;
    this.#records = sorted;
    this.records = { [Symbol.iterator]: () => decoded(sorted) };
  }

  /** Asks for all of its records again: what comes after a failed one must wait for it. */
  failures(): BatchItemFailure[] {
    const partition = `${this.topic}-${this.partition}`;
    return this.#records.map(({ offset }) => ({ itemIdentifier: { partition, offset } }));
  }
}

const inOrder = (records: readonly LambdaKafkaRecord[]): boolean =>
  records.every(
    (record, index) => index === 0 || record.offset > (records[index - 1]?.offset ?? 0),
  );

function* decoded(records: readonly LambdaKafkaRecord[]): Generator<IncomingRecord, undefined> {
  let last = Number.NEGATIVE_INFINITY;
  for (const record of records) {
    if (record.offset === last) continue;
    last = record.offset;
    yield {
      offset: record.offset,
      timestampMillis: record.timestamp,
      timestampType: record.timestampType === "LOG_APPEND_TIME" ? "LOG_APPEND_TIME" : "CREATE_TIME",
      key: bytesOf(record.key),
      value: bytesOf(record.value),
      firstPosition: firstPositionOf(record),
    };
  }
}

const bytesOf = (text: string | null | undefined): Buffer | null =>
  text === null || text === undefined ? null : Buffer.from(text, "base64");

function firstPositionOf({ headers }: LambdaKafkaRecord): Position | undefined {
  if (headers === null || headers === undefined || headers.length === 0) return undefined;
  for (const header of headers) {
    const bytes = header[FIRST_POSITION_HEADER];
    // Bytes come signed; Buffer.from takes them modulo 256.
    if (bytes !== undefined) return parseFirstPosition(Buffer.from(bytes as number[]).toString());
  }
  return undefined;
}

/** A record that was read from Kafka itself, as the ingest path takes it. */
export function incomingRecord(record: KafkaRecord): IncomingRecord {
  const { offset, timestampMillis, timestampType, key, value, headers } = record;
  const header = headers.find((one) => one.key === FIRST_POSITION_HEADER);
  const firstPosition = header && parseFirstPosition(header.value.toString());
  return { offset, timestampMillis, timestampType, key, value, firstPosition };
}
