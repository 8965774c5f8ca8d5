/** Kafka: a cluster of AWS's that functions sign in to by their roles, or brokers that exist already. */
import type { KafkaUse } from "../functions/manifest.ts";
import { createExistingKafka } from "./kafka-existing.ts";
import { createLocalKafka } from "./kafka-local.ts";
import { createMskProvisioned, createMskServerless } from "./kafka-msk.ts";
import type { Network } from "./network.ts";
import type { Stage } from "./settings.ts";

/** One statement of a function's role. */
export interface Permission {
  readonly actions: string[];
  readonly resources: $util.Input<string>[];
}

export interface Kafka {
  /** Where it is and how to sign in. */
  readonly link: sst.Linkable<Record<string, unknown>>;
  /** What a role needs to do these with it; nothing where a password says who somebody is. */
  permissionsFor(uses: readonly KafkaUse[]): readonly Permission[];
  /** Where a mapping reads from, and what its function's role must allow for it. */
  mappingOf(mapping: MappingArgs): MappingSource;
  /** What has to be there before anybody signs in. */
  readonly made: readonly $util.Resource[];
  /** The cluster's name in AWS's own metrics. */
  readonly clusterName?: $util.Output<string>;
  /** For the function that makes topics. */
  readonly topicEnvironment: Readonly<Record<string, string>>;
}

export interface MappingArgs {
  readonly topic: string;
  readonly group: string;
  /** Where records that were given up go. */
  readonly failureTopic: string | undefined;
}

export interface MappingSource {
  readonly args: Partial<aws.lambda.EventSourceMappingArgs>;
  readonly permissions: readonly Permission[];
}

export function createKafka(stage: Stage, network: Network | undefined): Kafka {
  const { kafka } = stage;
  if ($dev) return createLocalKafka();
  if (kafka.kind === "existing") return createExistingKafka(kafka);
  if (network === undefined) throw new Error(`${kafka.kind} needs a network`);
  return kafka.kind === "msk-serverless"
    ? createMskServerless(stage, network)
    : createMskProvisioned(stage, kafka, network);
}
