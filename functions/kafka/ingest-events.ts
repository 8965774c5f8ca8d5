/**
 * Topic `events`: stores each behaviour event once and folds it into its windows.
 *
 * Kafka delivers at least once. An event's identity (id and time) decides whether it is new, and
 * rows, window states, dead letters and progress commit in one transaction per partition, so every
 * event counts exactly once; also one that a client sent twice.
 */
import { ingestPartition } from "@headrace/db";
import { config, kafkaHandler, recordMetrics } from "@headrace/handler";

export const handler = kafkaHandler(async (batch, { pool, givingUp }) => {
  const { eventHorizonDays: horizonDays } = config();
  const ingested = await ingestPartition(pool, batch, { horizonDays, givingUp });
  const { stored, deadLetters } = ingested;
  recordMetrics({ EventsStored: stored, DeadLetters: deadLetters }, { topic: batch.topic });
  return { ...ingested };
});
