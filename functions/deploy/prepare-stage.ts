/**
 * Once per deploy: topics, roles, migrations and how long raw events are kept, before code of the new
 * release serves.
 *
 * Safe to repeat: what is there already is left. What fails throws, which fails the deploy and leaves
 * the former release serving; migrations that were applied before the failing one stay, so a schema
 * has to serve the release before it, too.
 */
import {
  allowedConnections,
  makePartitionsAhead,
  migrate,
  type Pool,
  unsetLimits,
} from "@headrace/db";
import {
  closePools,
  config,
  databaseAddress,
  deployHandler,
  kafkaConfig,
  pool,
  type ReleaseTopic,
  rawRetentionDays,
  releaseTopics,
  rolePasswords,
} from "@headrace/handler";
import { createAdmin, createMskTopics } from "@headrace/kafka";
import { AppError, bug, conflict, type Logger } from "@headrace/kernel";

export interface Prepared {
  /** Names of those that this deploy applied. */
  readonly migrations: readonly string[];
  readonly topics: readonly string[];
}

/** Aurora from 0 capacity answers after 15 s or more. */
const WAKING_MS = 90_000;

export const handler = deployHandler<Prepared>(async ({ log }) => {
  // Read whole first: a deploy that lacks a setting changes nothing.
  const topics = releaseTopics();
  const retention = { raw_retention: `${rawRetentionDays()} days` };
  const owner = databaseAddress("owner");
  const { size, serverConnections } = config();
  const roles = { size, passwords: rolePasswords() };
  await makeTopics(topics);
  const setting = "the link DatabaseOwner";
  const { applied } = await migrate(owner.url, retention, { roles, setting, waitMs: WAKING_MS });
  try {
    await makePartitionsAhead(pool("owner"));
    for (const name of await unsetLimits(pool("owner")))
      log.warn(`the server does not limit ${name}: set it in its own settings`, { setting: name });
    if (serverConnections !== undefined) await warnOfRestart(pool("owner"), serverConnections, log);
  } finally {
    await closePools();
  }
  return { migrations: applied, topics: topics.map(({ name }) => name) };
});

/** A larger size's parameter reaches the server when it is next started, and AWS does not restart it. */
async function warnOfRestart(owner: Pool, expected: number, log: Logger): Promise<void> {
  const allowed = await allowedConnections(owner);
  if (allowed >= expected) return;
  log.warn(
    `the server allows ${allowed} connections until it is restarted, and this stage needs ${expected}: reboot the database instance`,
    { setting: "max_connections", allowed, expected },
  );
}

async function makeTopics(topics: readonly ReleaseTopic[]): Promise<void> {
  const kafka = kafkaConfig("prepare-stage");
  if (config().kafkaTopicApi === "msk") {
    if (kafka.clusterArn === undefined)
      throw bug(
        "config.invalid",
        "KAFKA_TOPIC_API is msk and the link Kafka has no clusterArn: link the cluster to this function",
      );
    const { ensureTopic } = createMskTopics(kafka.clusterArn);
    await ensureAll(topics, ensureTopic);
    return;
  }
  const admin = createAdmin(kafka);
  try {
    await ensureAll(topics, admin.ensureTopic);
  } finally {
    await admin.close();
  }
}

type EnsureTopic = ReturnType<typeof createAdmin>["ensureTopic"];

/** All are tried, so that nothing goes on in the background of a deploy that has failed. */
async function ensureAll(topics: readonly ReleaseTopic[], ensureTopic: EnsureTopic): Promise<void> {
  const outcomes = await Promise.allSettled(
    topics.map(({ name, partitions, replication, configs }) =>
      ensureTopic(name, {
        partitions,
        configs,
        ...(replication === undefined ? {} : { replicas: replication }),
      }),
    ),
  );
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw withRemedy(failed.reason);
}

function withRemedy(error: unknown): unknown {
  if (!(error instanceof AppError) || error.code !== "kafka.topic_has_fewer_partitions")
    return error;
  const remedy =
    "set events.partitions of the stage to what the topic has, or add partitions to it by Kafka's own tools once nobody needs the order of keys across the change";
  return conflict(error.code, `${error.message}: ${remedy}`, { cause: error });
}
