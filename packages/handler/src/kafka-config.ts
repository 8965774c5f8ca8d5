/** Kafka as the environment or the link states it, for functions that talk to it themselves. */
import type { KafkaConfig } from "@headrace/kafka";
import { kafkaAddress } from "./config.ts";
import type { KafkaLink } from "./links.ts";

/** `purpose` shows in the broker's log. Throws `config.missing`. */
export function kafkaConfig(purpose: string): KafkaConfig {
  return { ...configOf(kafkaAddress()), clientId: `headrace-${purpose}` };
}

function configOf(link: KafkaLink): KafkaConfig {
  switch (link.kind) {
    case "plain":
      return { brokers: link.brokers };
    case "scram":
      return {
        brokers: link.brokers,
        auth: { kind: "scram", username: link.username, password: link.password },
      };
    case "iam":
      return {
        brokers: link.brokers,
        clusterArn: link.clusterArn,
        region: link.region,
        auth: { kind: "iam" },
      };
  }
}
