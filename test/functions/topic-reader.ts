/** A topic of a test's own, and what was produced to it since the test looked last. */
import { createAdmin, type KafkaConfig, type KafkaRecord, readRange } from "@headrace/kafka";
import { uniqueTopic } from "../support/kafka.ts";

export interface TestTopic {
  readonly name: string;
  /** Records that were produced since the last call, partition by partition. */
  taken(): Promise<KafkaRecord[]>;
  close(): Promise<void>;
}

export async function testTopic(
  brokers: readonly string[],
  options: { readonly partitions: number; readonly name?: string },
): Promise<TestTopic> {
  const config: KafkaConfig = { brokers };
  const name = options.name ?? uniqueTopic();
  const admin = createAdmin(config);
  await admin.ensureTopic(name, {
    partitions: options.partitions,
    configs: { "message.timestamp.type": "LogAppendTime" },
  });
  const next = new Map<number, number>();
  return {
    name,
    async taken() {
      const records: KafkaRecord[] = [];
      for (const { partition, end } of await admin.offsets([name])) {
        const from = next.get(partition) ?? 0;
        for await (const part of readRange(config, name, partition, from, end)) {
          records.push(...part.records);
        }
        next.set(partition, end);
      }
      return records;
    },
    close: () => admin.close(),
  };
}
