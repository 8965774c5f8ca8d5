/** Runs a poller on the run's broker with a function of the test's, and keeps what it was sent. */
import { createAdmin, createFetcher, createProducer, type NamedBrokers } from "@headrace/kafka";
import type { Clock } from "@headrace/kernel";
import { jsonLogger } from "@headrace/kernel";
import {
  type KafkaEventRecord,
  type KafkaFunction,
  type KafkaPollerOptions,
  type KafkaTriggerEvent,
  type KafkaTriggerOptions,
  startKafkaPoller,
} from "@headrace/local";
import { afterAll, onTestFinished } from "vitest";
import { readPartition } from "../kafka/clients.ts";
import { kafkaBrokers, uniqueTopic } from "../support/kafka.ts";

const realClock: Clock = { now: () => Date.now() };

export type Answer = (event: KafkaTriggerEvent, call: number) => unknown;

export interface PollerSetup extends Omit<KafkaTriggerOptions, "topic"> {
  readonly topic: string;
  readonly answer?: Answer;
  readonly group?: string;
  readonly clock?: Clock;
  readonly timeoutSeconds?: number;
  readonly options?: Partial<KafkaPollerOptions>;
}

export async function pollerHarness(given?: NamedBrokers) {
  const config = given ?? { brokers: await kafkaBrokers() };
  const admin = createAdmin(config);
  const producer = createProducer(config, { sendTimeoutMs: 60_000 });
  const fetcher = createFetcher(config, { timeoutMs: 60_000 });
  afterAll(() => Promise.all([admin.close(), producer.close(), fetcher.close()]));

  const newTopic = async (partitions = 1, configs: Record<string, string> = {}) => {
    const topic = uniqueTopic();
    await admin.ensureTopic(topic, { partitions, configs });
    return topic;
  };
  /** One record for each value, in order. */
  const send = (topic: string, values: readonly string[], partition = 0) =>
    producer.send(values.map((value) => ({ topic, partition, value })));
  const readAll = (topic: string, partition = 0) => readPartition(fetcher, topic, partition);
  const committed = async (group: string, topic: string) =>
    new Map((await fetcher.committed(group, topic)).map((one) => [one.partition, one.offset]));
  return { config, admin, producer, fetcher, newTopic, send, readAll, committed, start };

  function start(setup: PollerSetup) {
    const events: KafkaTriggerEvent[] = [];
    const log: Record<string, unknown>[] = [];
    const { topic, answer, group, clock, timeoutSeconds, options, ...trigger } = setup;
    const groupName = group ?? uniqueTopic("group");
    const handler: KafkaFunction = (event) => {
      events.push(event);
      return answer?.(event, events.length);
    };
    const poller = startKafkaPoller({
      kafka: config,
      trigger: { topic, batchingWindowSeconds: 0, ...trigger },
      function: {
        name: "a-function",
        handler,
        timeoutSeconds: timeoutSeconds ?? 10,
        memoryMegabytes: 512,
      },
      group: groupName,
      clock: clock ?? realClock,
      logger: jsonLogger({
        clock: realClock,
        level: "debug",
        write: (line) => log.push(JSON.parse(line)),
      }),
      backoff: { firstMillis: 5, mostMillis: 40 },
      topicCheckMillis: 100,
      ...options,
    });
    onTestFinished(() => poller.stop());
    return {
      poller,
      group: groupName,
      log,
      events,
      /** The values of each event, partition after partition. */
      batches: () => events.map((event) => recordsOf(event).map(textOf)),
      values: () => events.flatMap((event) => recordsOf(event).map(textOf)),
    };
  }
}

export function recordsOf(event: KafkaTriggerEvent): readonly KafkaEventRecord[] {
  return Object.values(event.records).flat();
}

export function textOf(record: KafkaEventRecord): string | null {
  return record.value === null ? null : Buffer.from(record.value, "base64").toString();
}

export function failure(record: { topic: string; partition: number; offset: number }) {
  const partition = `${record.topic}-${record.partition}`;
  return { itemIdentifier: { partition, offset: record.offset } };
}

/** An answer that names the records whose value `fails`. */
export function failuresOf(event: KafkaTriggerEvent, fails: (value: string) => boolean) {
  const failed = recordsOf(event).filter((record) => fails(textOf(record) ?? ""));
  return { batchItemFailures: failed.map(failure) };
}
