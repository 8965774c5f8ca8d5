/**
 * The process's Kafka producers, one for each name, made at first use and shared by every handler of
 * the process that asks for it.
 */
import { createProducer, type Producer, type ProducerOptions } from "@headrace/kafka";
import { checkAtColdStart, kafkaAddress } from "./config.ts";
import { kafkaConfig } from "./kafka-config.ts";

const producers = new Map<string, Producer>();

/**
 * `name` shows in the broker's log. To be called when a function's file is loaded: a deployed one
 * without Kafka's address fails there (`config.missing`).
 */
export function kafkaProducer(name: string, options: ProducerOptions = {}): Pick<Producer, "send"> {
  checkAtColdStart(kafkaAddress);
  return { send: async (records) => producerOf(name, options).send(records) };
}

function producerOf(name: string, options: ProducerOptions): Producer {
  let producer = producers.get(name);
  if (producer === undefined) {
    producer = createProducer(kafkaConfig(name), options);
    producers.set(name, producer);
  }
  return producer;
}

/** Ends every producer once what it sends is stored; who sends after that gets a new one. */
export async function closeProducers(): Promise<void> {
  const open = [...producers.values()];
  producers.clear();
  await Promise.all(open.map((producer) => producer.close()));
}
