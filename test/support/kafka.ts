/** Kafka for tests: the run's brokers, topics of their own, and events as Lambda hands them over. */
import { randomBytes } from "node:crypto";

export { kafkaBrokers } from "./servers.ts";

/** A topic name that no other test uses; the topic itself is the test's to make. */
export function uniqueTopic(name = "events"): string {
  return `${name}-${randomBytes(6).toString("hex")}`;
}

/** One record of Lambda's Kafka event. */
export interface LambdaKafkaRecord {
  topic: string;
  partition: number;
  offset: number;
  timestamp: number;
  timestampType: "CREATE_TIME" | "LOG_APPEND_TIME";
  key?: string | null;
  /** Base64; null or absent for a tombstone. */
  value?: string | null;
  headers: Record<string, number[]>[];
}

export interface LambdaKafkaEvent {
  eventSource: "aws:kafka";
  eventSourceArn: string;
  bootstrapServers: string;
  records: Record<string, LambdaKafkaRecord[]>;
}

type Text = string | Buffer;

/** What a record carries besides its value. */
export interface RecordDetails {
  readonly key?: Text | null;
  readonly headers?: readonly (readonly [name: string, value: Text])[];
  /** Default: one past the record before; a larger one leaves a gap. */
  readonly offset?: number;
  readonly timestampMillis?: number;
}

const details = Symbol("details");
interface DetailedRecord {
  readonly value: unknown;
  readonly [details]: RecordDetails;
}

/** A record for `kafkaEvent` with more than a value. */
export function kafkaRecord(value: unknown, more: RecordDetails): DetailedRecord {
  return { value, [details]: more };
}

export interface KafkaEventOptions {
  /** First offset by partition, for a redelivery or a re-created topic; else offsets go on. */
  readonly offsets?: Readonly<Record<number, number>>;
  /** Of records that name none; default: the first of January 2026. */
  readonly timestampMillis?: number;
  readonly timestampType?: LambdaKafkaRecord["timestampType"];
}

/** Of topics in this test file, so that one event goes on where the last one ended. */
const nextOffsets = new Map<string, number>();

/**
 * The event that Lambda's mapping for MSK would hand over. A value that is a string or bytes is sent
 * as it is, null and undefined are the two shapes of a tombstone, anything else is sent as JSON.
 */
export function kafkaEvent(
  topic: string,
  partitions: Readonly<Record<number, readonly unknown[]>>,
  options: KafkaEventOptions = {},
): LambdaKafkaEvent {
  const records: LambdaKafkaEvent["records"] = {};
  for (const [number, values] of Object.entries(partitions)) {
    const partition = Number(number);
    const name = `${topic}-${partition}`;
    let next = options.offsets?.[partition] ?? nextOffsets.get(name) ?? 0;
    records[name] = values.map((it) => {
      const { value, [details]: more } = isDetailed(it) ? it : kafkaRecord(it, {});
      const offset = more.offset ?? next;
      next = offset + 1;
      return {
        topic,
        partition,
        offset,
        timestamp: more.timestampMillis ?? options.timestampMillis ?? Date.UTC(2026, 0, 1),
        timestampType: options.timestampType ?? "LOG_APPEND_TIME",
        ...(more.key === undefined ? {} : { key: base64(more.key) }),
        ...(value === undefined ? {} : { value: base64(value) }),
        headers: (more.headers ?? []).map(([header, text]) => ({ [header]: signed(text) })),
      };
    });
    nextOffsets.set(name, next);
  }
  return {
    eventSource: "aws:kafka",
    eventSourceArn:
      "arn:aws:kafka:eu-central-1:123456789012:cluster/headrace/751d2973-a626-431c-9d4e-d7975eb44dd7-2",
    bootstrapServers: "b-1.headrace.kafka.eu-central-1.amazonaws.com:9098",
    records,
  };
}

function isDetailed(record: unknown): record is DetailedRecord {
  return typeof record === "object" && record !== null && details in record;
}

function base64(value: unknown): string | null {
  if (value === null) return null;
  if (Buffer.isBuffer(value)) return value.toString("base64");
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64");
}

/** Java's bytes: 0xC3 is -61. */
function signed(text: Text): number[] {
  return [...new Int8Array(Buffer.from(text))];
}
