/** Kafka as the environment states it, for functions that talk to it themselves. */
import type { KafkaConfig } from "@headrace/kafka";
import { kafkaBrokers } from "./config.ts";

/** `purpose` shows in the broker's log. Throws `config.missing`. */
export function kafkaConfig(purpose: string): KafkaConfig {
  return { brokers: kafkaBrokers(), clientId: `headrace-${purpose}` };
}
