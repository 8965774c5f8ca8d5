/**
 * The wrapper of every Kafka function: one batch per topic and partition, two at once.
 *
 * A partition that fails reports all its records, so that they come again in order; the others keep
 * what they committed. A mapping without provisioned pollers hears no reports: for one (`throw`) every
 * partition is tried and then an error asks for all again, of which what committed counts no more.
 */
import { INVOCATION_CONNECTIONS } from "@headrace/capacity";
import type { GivingUp, PartitionBatch, Pool } from "@headrace/db";
import { type AppError, type Logger, unavailable } from "@headrace/kernel";
import middy from "@middy/core";
import { type Config, checkAtColdStart, config, databaseAddress } from "./config.ts";
import type { InvocationContext } from "./http-event.ts";
import { beginInvocation } from "./invocation.ts";
import {
  type BatchItemFailure,
  type LambdaBatch,
  type LambdaKafkaEvent,
  partitionBatches,
} from "./kafka-event.ts";
import { countingFailures } from "./kafka-failures.ts";
import { loggable, logger } from "./log.ts";
import { recordMetrics } from "./metrics.ts";
import { pool } from "./pools.ts";
import { needConnections } from "./pools-size.ts";
import { wakePulse } from "./wake-pulse.ts";

export interface KafkaContext {
  readonly pool: Pool;
  readonly log: Logger;
  /** Set when the batch failed too often to be tried whole again. */
  readonly givingUp: GivingUp | undefined;
}

/** Takes one partition's batch in, whole or not at all; returns figures for the log. */
export type KafkaWork = (
  batch: PartitionBatch,
  context: KafkaContext,
) => Promise<Readonly<Record<string, number>>>;

export interface KafkaResult {
  readonly batchItemFailures: readonly BatchItemFailure[];
}

export type KafkaHandler = (
  event: LambdaKafkaEvent,
  context: InvocationContext,
) => Promise<KafkaResult>;

export interface KafkaOptions {
  readonly pool?: () => Pool;
  readonly log?: Logger;
  /** How failed partitions are told; default: the configuration's. */
  readonly failures?: Config["kafkaFailures"];
}

/** One decodes while the other waits for the database; a third would only queue for the thread. */
const AT_ONCE = 2;

export function kafkaHandler(work: KafkaWork, options: KafkaOptions = {}): KafkaHandler {
  checkAtColdStart(() => databaseAddress("worker"));
  needConnections("worker", INVOCATION_CONNECTIONS.kafka);
  const respond = async (
    event: LambdaKafkaEvent,
    context: InvocationContext,
  ): Promise<KafkaResult> => {
    beginInvocation(context?.awsRequestId);
    const log = (options.log ?? logger()).with({ requestId: context?.awsRequestId });
    const failures = options.failures ?? config().kafkaFailures;
    const waiting = partitionBatches(event);
    const batches = waiting.length;
    const failed: LambdaBatch[] = [];
    const takeNext = async (): Promise<void> => {
      for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) {
        const isTaken = await attempt(work, batch, { ...options, failures, log });
        if (!isTaken) failed.push(batch);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, takeNext));
    if (failed.length < batches) await wakePulse({ log });
    if (failures === "throw" && failed.length > 0) throw partitionsFailed(failed);
    return { batchItemFailures: failed.flatMap((batch) => batch.failures()) };
  };
  return middy<LambdaKafkaEvent, KafkaResult>().handler(respond as never) as never;
}

type Rules = KafkaOptions & Required<Pick<KafkaOptions, "failures" | "log">>;

async function attempt(work: KafkaWork, batch: LambdaBatch, rules: Rules): Promise<boolean> {
  const { log, failures } = rules;
  const { topic, partition, firstOffset, lastOffset, size } = batch;
  const place = { topic, partition, firstOffset, lastOffset };
  try {
    const open = (rules.pool ?? (() => pool("worker")))();
    const take = (givingUp?: GivingUp) => work(batch, { pool: open, log, givingUp });
    const figures =
      failures === "throw" ? await countingFailures(batch, open, log, take) : await take();
    log.debug("a batch was taken in", { ...place, records: size, ...figures });
    return true;
  } catch (error) {
    log.error("a batch failed and will come again", { ...place, error: loggable(error) });
    recordMetrics({ FailedBatches: 1 }, { topic });
    return false;
  }
}

function partitionsFailed(batches: readonly LambdaBatch[]): AppError {
  const names = batches.map(({ topic, partition }) => `${topic}-${partition}`).join(", ");
  return unavailable(
    "kafka.partitions_failed",
    `the whole event must come again, because ${batches.length} of its partitions failed: ${names}`,
  );
}
