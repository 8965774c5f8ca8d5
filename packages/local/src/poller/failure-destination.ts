/**
 * Where records go that are given up: a Kafka topic (with the record's own key) or a file of JSON
 * lines, each record with what is known of its failure, in the shape that Lambda writes to a Kafka
 * destination. Delivered at least once: a record can appear again after a crash.
 */
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { KafkaRecord, OutgoingRecord, Producer } from "@headrace/kafka";
import { AppError, type Clock, type Logger } from "@headrace/kernel";
import { eventOf, type KafkaTriggerEvent, recordBytes } from "./event.ts";
import { localArn } from "./invocation.ts";
import type { TriggerSettings } from "./trigger.ts";
import type { Unit } from "./unit.ts";

/** What the destination holds for one record. */
export interface FailedRecord {
  readonly requestContext: {
    /** Of the last invocation with this record; null where there was none. */
    readonly requestId: string | null;
    readonly functionArn: string;
    readonly condition: string;
    readonly approximateInvokeCount: number;
  };
  readonly responseContext: {
    readonly statusCode: number;
    readonly executedVersion: string;
    readonly functionError: string | null;
  } | null;
  readonly version: "1.0";
  readonly timestamp: string;
  readonly KafkaBatchInfo: {
    readonly batchSize: 1;
    readonly bootstrapServers: string;
    readonly payloadSize: number;
    readonly recordInfo: { readonly offset: number; readonly timestamp: number };
  };
  /** The event with this record alone; null where it was too large for the destination topic. */
  readonly payload: KafkaTriggerEvent | null;
}

export interface FailureSetup {
  readonly settings: TriggerSettings;
  readonly functionName: string;
  readonly brokers: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Made when first needed. */
  readonly producer: () => Producer;
}

/** Resolves once every record of `unit` is stored; rejects where the destination cannot be written. */
export type GiveUp = (unit: Unit) => Promise<void>;

/** Without a destination, records are dropped, as Lambda drops them; the log says which. */
export function failureDestination(setup: FailureSetup): GiveUp {
  const { onFailureTopic, onFailureFile } = setup.settings;
  return async (unit) => {
    const records = unit.parts.flatMap((part) => part.records);
    if (onFailureTopic !== undefined) await toTopic(setup, unit, records, onFailureTopic);
    else if (onFailureFile !== undefined) await toFile(setup, unit, records, onFailureFile);
    const destination = onFailureTopic ?? onFailureFile;
    const message = destination === undefined ? "records are dropped" : "records are set aside";
    setup.logger.error(message, { condition: unit.condition, destination, ...placesOf(unit) });
  };
}

function placesOf(unit: Unit): { count: number; places: readonly string[]; error: unknown } {
  const places = unit.parts.map(({ queue, records }) => {
    const [first, last] = [records[0]?.offset, records.at(-1)?.offset];
    return `${queue.topic}-${queue.partition}@${first}${last === first ? "" : `..${last}`}`;
  });
  const count = unit.parts.reduce((sum, part) => sum + part.records.length, 0);
  return { count, places, error: unit.lastAttempt?.error };
}

async function toTopic(
  setup: FailureSetup,
  unit: Unit,
  records: readonly KafkaRecord[],
  topic: string,
): Promise<void> {
  const producer = setup.producer();
  const outgoing = (record: KafkaRecord, withPayload: boolean): OutgoingRecord => {
    const value = JSON.stringify(failedRecord(setup, unit, record, withPayload));
    return { topic, key: record.key, value };
  };
  const outcomes = await Promise.allSettled(
    records.map((record) => producer.send([outgoing(record, true)])),
  );
  for (const [i, outcome] of outcomes.entries()) {
    const record = records[i];
    if (outcome.status === "fulfilled" || record === undefined) continue;
    if (!isTooLarge(outcome.reason)) throw outcome.reason;
    const { partition, offset } = record;
    setup.logger.error("a record is too large for the destination: stored without its payload", {
      topic,
      partition,
      offset,
    });
    await producer.send([outgoing(record, false)]);
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof AppError && error.code === "kafka.record_too_large";
}

async function toFile(
  setup: FailureSetup,
  unit: Unit,
  records: readonly KafkaRecord[],
  path: string,
): Promise<void> {
  const lines = records.map((one) => `${JSON.stringify(failedRecord(setup, unit, one, true))}\n`);
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a", 0o600);
  try {
    await file.appendFile(lines.join(""));
    await file.datasync();
  } finally {
    await file.close();
  }
}

function failedRecord(
  setup: FailureSetup,
  unit: Unit,
  record: KafkaRecord,
  withPayload: boolean,
): FailedRecord {
  const { lastAttempt } = unit;
  const answered = { statusCode: 200, executedVersion: "$LATEST" };
  const thrown = lastAttempt?.error === undefined ? null : "Unhandled";
  return {
    requestContext: {
      requestId: lastAttempt?.requestId ?? null,
      functionArn: localArn(setup.functionName),
      condition: unit.condition ?? "RetryAttemptsExhausted",
      approximateInvokeCount: lastAttempt === undefined ? 0 : unit.retries + 1,
    },
    responseContext: lastAttempt === undefined ? null : { ...answered, functionError: thrown },
    version: "1.0",
    timestamp: new Date(setup.clock.now()).toISOString(),
    KafkaBatchInfo: {
      batchSize: 1,
      bootstrapServers: setup.brokers.join(","),
      payloadSize: recordBytes(record),
      recordInfo: { offset: record.offset, timestamp: record.timestampMillis },
    },
    payload: withPayload ? eventOf(setup.brokers, [[record]]) : null,
  };
}
