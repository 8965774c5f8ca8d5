/** Clients of the run's broker for a test file, closed after it, and reading a partition whole. */
import {
  createAdmin,
  createFetcher,
  createProducer,
  type KafkaRecord,
  type NamedBrokers,
} from "@headrace/kafka";
import { afterAll, expect } from "vitest";
import { kafkaBrokers, uniqueTopic } from "../support/kafka.ts";

/** Brokers and other tests share two processors: what takes milliseconds alone may take seconds. */
export function eventually<T>(read: () => T | Promise<T>, timeout = 15_000) {
  return expect.poll(read, { timeout, interval: 20 });
}

export async function testClients() {
  const config: NamedBrokers = { brokers: await kafkaBrokers() };
  const admin = createAdmin(config);
  const producer = createProducer(config);
  const fetcher = createFetcher(config);
  afterAll(() => Promise.all([admin.close(), producer.close(), fetcher.close()]));
  const newTopic = async (partitions = 1, configs: Record<string, string> = {}) => {
    const topic = uniqueTopic();
    await admin.ensureTopic(topic, { partitions, configs });
    return topic;
  };
  const readAll = (topic: string, partition = 0) => readPartition(fetcher, topic, partition);
  return { config, admin, producer, fetcher, newTopic, readAll };
}

/** Every record that a reader of committed records sees, from the log's begin to its end. */
export async function readPartition(
  fetcher: ReturnType<typeof createFetcher>,
  topic: string,
  partition: number,
): Promise<readonly KafkaRecord[]> {
  const ranges = await fetcher.offsets([topic]);
  const range = ranges.find((one) => one.partition === partition);
  const records: KafkaRecord[] = [];
  for (let offset = range?.begin ?? 0; offset < (range?.end ?? 0); ) {
    const [found] = await fetcher.fetch([{ topic, partition, offset }], {
      maxWaitMillis: 1_000,
      maxBytes: 4_000_000,
    });
    records.push(...(found?.records ?? []));
    offset = found?.nextOffset ?? offset;
  }
  return records;
}
