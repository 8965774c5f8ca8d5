/** The topics that the manifest's functions read and write. */
import { functionsOf } from "../functions/manifest.ts";
import type { Stage } from "./settings.ts";

export interface Topic {
  readonly name: string;
  readonly partitions: number;
  /** Copies of each partition; undefined leaves it to the brokers. */
  readonly replication?: number | undefined;
  readonly configs: Readonly<Record<string, string>>;
}

const HOUR_MS = 3_600_000;
/** With one copy away, a write still has two. */
const MSK_REPLICATION = 3;

export const consumers = functionsOf("kafka");

/** The topic that events come in by. */
export function eventsTopic(): string {
  const [first] = consumers;
  if (first === undefined)
    throw new Error("functions/manifest.ts has no function that Kafka starts");
  return first.trigger.topic;
}

export function topicsOf(stage: Stage): readonly Topic[] {
  const triggers = consumers.map(({ trigger }) => trigger);
  const replication = replicationOf(stage);
  const configs = { "retention.ms": String(stage.events.retentionHours * HOUR_MS) };
  return [
    ...unique(triggers.map(({ topic }) => topic)).map((name) => ({
      name,
      partitions: stage.events.partitions,
      replication,
      // Watermarks must not depend on the clocks of whoever produces.
      configs: { ...configs, "message.timestamp.type": "LogAppendTime" },
    })),
    ...unique(triggers.map(({ onFailureTopic }) => onFailureTopic)).map((name) => ({
      name,
      partitions: 1,
      replication,
      configs,
    })),
  ];
}

function replicationOf({ kafka }: Stage): number | undefined {
  switch (kafka.kind) {
    case "msk-serverless":
    case "msk-provisioned":
      return MSK_REPLICATION;
    case "existing":
      return kafka.replication;
  }
}

const unique = (names: readonly string[]): readonly string[] => [...new Set(names)];
