/**
 * The event of a self-managed Kafka event source, as Lambda sends it: plain data, equal to what its
 * JSON would be read back as (here it is handed over without that detour).
 */
import type { KafkaRecord } from "@headrace/kafka";

export interface KafkaEventRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly timestampType: "CREATE_TIME" | "LOG_APPEND_TIME";
  /** Base64; null where the record has no key. */
  readonly key: string | null;
  /** Base64; null is a tombstone, "" an empty value. */
  readonly value: string | null;
  /** One object for each header, its bytes signed as Java has them. */
  readonly headers: readonly Readonly<Record<string, readonly number[]>>[];
}

export interface KafkaTriggerEvent {
  readonly eventSource: "SelfManagedKafka";
  /** One text, separated by commas. */
  readonly bootstrapServers: string;
  /** Keyed `<topic>-<partition>`, in the order of offsets. */
  readonly records: Readonly<Record<string, readonly KafkaEventRecord[]>>;
}

/** Lambda's limit for what one invocation is sent. */
export const MAX_EVENT_BYTES = 6 * 1024 * 1024;

export function eventOf(
  brokers: readonly string[],
  records: Iterable<readonly KafkaRecord[]>,
): KafkaTriggerEvent {
  const byPartition: Record<string, KafkaEventRecord[]> = {};
  for (const some of records) {
    const first = some[0];
    if (first !== undefined) byPartition[partitionKey(first)] = some.map(eventRecord);
  }
  const bootstrapServers = brokers.join(",");
  return { eventSource: "SelfManagedKafka", bootstrapServers, records: byPartition };
}

export function partitionKey(place: {
  readonly topic: string;
  readonly partition: number;
}): string {
  return `${place.topic}-${place.partition}`;
}

function eventRecord(record: KafkaRecord): KafkaEventRecord {
  return {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestampMillis,
    timestampType: record.timestampType,
    key: record.key === null ? null : record.key.toString("base64"),
    value: record.value === null ? null : record.value.toString("base64"),
    headers: record.headers.length === 0 ? [] : record.headers.map(eventHeader),
  };
}

function eventHeader(header: { key: string; value: Buffer }): Record<string, readonly number[]> {
  return { [header.key]: Array.from(new Int8Array(header.value)) };
}

/** Everything of an event's JSON but its partitions. */
export function envelopeBytes(brokers: readonly string[]): number {
  return JSON.stringify(eventOf(brokers, [])).length;
}

/** A partition's key and brackets, and the comma before it. */
export function partitionBytes(topic: string, partition: number): number {
  return topic.length + digits(partition) + 7;
}

/** The field names and punctuation of a record's JSON, and the comma before it. */
const RECORD_FRAME_BYTES =
  '{"topic":"","partition":,"offset":,"timestamp":,"timestampType":"","key":,"value":,"headers":[]},'
    .length;

/** What a record takes in the event's JSON, without making it: never less, a few bytes more. */
export function recordBytes(record: KafkaRecord): number {
  let bytes = RECORD_FRAME_BYTES + record.topic.length + record.timestampType.length;
  bytes += digits(record.partition) + digits(record.offset) + digits(record.timestampMillis);
  bytes += base64Bytes(record.key) + base64Bytes(record.value);
  for (const { key, value } of record.headers) {
    bytes += Buffer.byteLength(JSON.stringify(key)) + 6; // {:[]} and a comma
    bytes += Math.max(0, value.length - 1);
    for (const byte of value) bytes += byte < 128 ? digits(byte) : digits(256 - byte) + 1;
  }
  return bytes;
}

function base64Bytes(field: Buffer | null): number {
  return field === null ? 4 : Math.ceil(field.length / 3) * 4 + 2;
}

/** Of a whole number; a record without a time has -1. */
function digits(value: number): number {
  let count = value < 0 ? 2 : 1;
  for (let rest = Math.abs(value); rest >= 10; rest /= 10) count++;
  return count;
}
