/** In `sst dev`: the Kafka of this machine. No mapping can reach it; a command polls in their place. */
import { localAddresses } from "./database-local.ts";
import type { Kafka } from "./kafka.ts";

export function createLocalKafka(): Kafka {
  const { host, port } = localAddresses().kafka;
  return {
    link: new sst.Linkable("Kafka", { properties: { kind: "plain", brokers: `${host}:${port}` } }),
    permissionsFor: () => [],
    mappingOf: () => {
      throw new Error("no mapping can reach the Kafka of this machine");
    },
    made: [],
    topicEnvironment: {},
  };
}
