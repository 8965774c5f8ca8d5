/** Moves the begin of a partition's log, as retention does. */
import type { NamedBrokers } from "@headrace/kafka";
import { Admin } from "@platformatic/kafka";

/** Everything of the partition below `offset` is gone afterwards. */
export async function deleteRecords(
  config: NamedBrokers,
  topic: string,
  partition: number,
  offset: number,
): Promise<void> {
  const admin = new Admin({ clientId: "test", bootstrapBrokers: [...config.brokers] });
  try {
    await admin.deleteRecords({
      topics: [{ name: topic, partitions: [{ partition, offset: BigInt(offset) }] }],
    });
  } finally {
    await admin.close();
  }
}
