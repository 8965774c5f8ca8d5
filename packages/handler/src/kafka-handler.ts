/**
 * The wrapper of every Kafka function: one batch per topic and partition, two at once.
 *
 * A partition that fails reports all its records, so that they come again in order; the others keep
 * what they committed. Nothing is thrown for a partition's failure: that would ask for all again.
 */
import type { PartitionBatch, Pool } from "@headrace/db";
import type { Logger } from "@headrace/kernel";
import middy from "@middy/core";
import type { InvocationContext } from "./http-event.ts";
import {
  type BatchItemFailure,
  type LambdaBatch,
  type LambdaKafkaEvent,
  partitionBatches,
} from "./kafka-event.ts";
import { loggable, logger } from "./log.ts";
import { pool } from "./pools.ts";

export interface KafkaContext {
  readonly pool: Pool;
  readonly log: Logger;
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
}

/** One decodes while the other waits for the database; a third would only queue for the thread. */
const AT_ONCE = 2;

export function kafkaHandler(work: KafkaWork, options: KafkaOptions = {}): KafkaHandler {
  const respond = async (
    event: LambdaKafkaEvent,
    context: InvocationContext,
  ): Promise<KafkaResult> => {
    const log = (options.log ?? logger()).with({ requestId: context?.awsRequestId });
    const waiting = partitionBatches(event);
    const batchItemFailures: BatchItemFailure[] = [];
    const takeNext = async (): Promise<void> => {
      for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) {
        batchItemFailures.push(...(await attempt(work, batch, options, log)));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, takeNext));
    return { batchItemFailures };
  };
  return middy<LambdaKafkaEvent, KafkaResult>().handler(respond as never) as never;
}

async function attempt(
  work: KafkaWork,
  batch: LambdaBatch,
  options: KafkaOptions,
  log: Logger,
): Promise<BatchItemFailure[]> {
  const { topic, partition, firstOffset, lastOffset, size } = batch;
  const place = { topic, partition, firstOffset, lastOffset };
  try {
    const figures = await work(batch, { pool: (options.pool ?? (() => pool("worker")))(), log });
    log.debug("a batch was taken in", { ...place, records: size, ...figures });
    return [];
  } catch (error) {
    log.error("a batch failed and will come again", { ...place, error: loggable(error) });
    return batch.failures();
  }
}
