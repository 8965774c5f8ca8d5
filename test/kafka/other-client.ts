/** The client library's own producer: it writes what ours does not (transactions, compression, odd headers). */
import type { KafkaConfig } from "@headrace/kafka";
import { Producer as OtherProducer } from "@platformatic/kafka";

export function otherProducer(config: KafkaConfig): OtherProducer {
  return new OtherProducer({
    clientId: "test",
    bootstrapBrokers: [...config.brokers],
    idempotent: true,
  });
}

/** `values` to partition 0 of `topic` in one transaction; its end takes one more offset. */
export async function inTransaction(
  producer: OtherProducer,
  topic: string,
  values: readonly string[],
  end: "commit" | "abort",
): Promise<void> {
  const transaction = await producer.beginTransaction({});
  const messages = values.map((value) => ({ topic, partition: 0, value: Buffer.from(value) }));
  await transaction.send({ messages });
  await transaction[end]();
}
