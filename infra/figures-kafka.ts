/**
 * Figures that AWS keeps of its Kafka: disks that fill, which only brokers with disks of their own
 * have. Express brokers and MSK Serverless grow by themselves.
 */
import { FIVE_MINUTES, type Figure, MISSING } from "./figure.ts";
import type { Parts } from "./parts.ts";
import { isExpress } from "./settings.ts";

/** A broker whose disk is full stops; what is left has to last until somebody has read the mail. */
const FULL_PERCENT = 80;

export function kafkaFigures({ stage, kafka }: Parts): readonly Figure[] {
  const { clusterName } = kafka;
  if (stage.kafka.kind !== "msk-provisioned" || isExpress(stage.kafka)) return [];
  if (clusterName === undefined) return [];
  return brokerIds(stage.kafka.brokers).map((id) => ({
    name: `KafkaBroker${id}DiskUsed`,
    panel: "Kafka's disks (%)",
    metric: {
      namespace: "AWS/Kafka",
      name: "KafkaDataLogsDiskUsed",
      dimensions: { "Cluster Name": clusterName, "Broker ID": String(id) },
    },
    statistic: "Maximum",
    periodSeconds: FIVE_MINUTES,
    limit: {
      is: "at least",
      threshold: FULL_PERCENT,
      periods: 3,
      missing: MISSING.silent,
      why: `The disk of Kafka's broker ${id} has been over ${FULL_PERCENT} % full for a quarter of an hour. Raise kafka.storageGigabytes, or lower events.retentionHours, and deploy: a broker whose disk is full stops.`,
    },
  }));
}

/** MSK counts from one. */
const brokerIds = (brokers: number): readonly number[] =>
  Array.from({ length: brokers }, (_, index) => index + 1);
