/** The client library's own producer: it writes what ours does not (transactions, compression, odd headers). */
import type { Admin, NamedBrokers } from "@headrace/kafka";
import { Producer as OtherProducer } from "@platformatic/kafka";
import { expect } from "vitest";

export function otherProducer(config: NamedBrokers): OtherProducer {
  return new OtherProducer({
    clientId: "test",
    bootstrapBrokers: [...config.brokers],
    idempotent: true,
  });
}

/**
 * `values` to partition 0 of `topic` in one transaction, whose end takes one more offset. The broker
 * answers before it has written that end; this waits for it, so that what is sent next comes behind.
 */
export async function inTransaction(
  { others, admin }: { readonly others: OtherProducer; readonly admin: Admin },
  topic: string,
  values: readonly string[],
  end: "commit" | "abort",
): Promise<void> {
  const stableEnd = async (): Promise<number> => (await admin.offsets([topic]))[0]?.end ?? 0;
  const begin = await stableEnd();
  const transaction = await others.beginTransaction({});
  const messages = values.map((value) => ({ topic, partition: 0, value: Buffer.from(value) }));
  await transaction.send({ messages });
  await transaction[end]();
  await expect.poll(stableEnd, { timeout: 15_000, interval: 5 }).toBe(begin + values.length + 1);
}
