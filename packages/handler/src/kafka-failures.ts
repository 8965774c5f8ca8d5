/**
 * What an event source mapping without provisioned pollers leaves to the function itself: it sends a
 * failed event again whole, for ever, so failures are counted here and a batch that failed too often
 * is taken in without the records that fail alone (`KAFKA_FAILURES=throw`).
 *
 * Only failures that trying again cannot mend are counted: a database that cannot be reached, is
 * busy, or is not as this release expects it, says nothing of the records.
 */
import {
  countFailure,
  failuresAt,
  forgetFailures,
  type GivingUp,
  type Pool,
  reasonWithoutData,
  sqlState,
} from "@headrace/db";
import { AppError, type Logger } from "@headrace/kernel";
import type { LambdaBatch } from "./kafka-event.ts";
import { loggable } from "./log.ts";
import { recordMetrics } from "./metrics.ts";
import { databaseError, isSqlState } from "./problem-database.ts";

/** Fewer would give up what a careless migration mends within minutes; more keep a partition waiting. */
const MOST_FAILURES = 20;

/** Runs `take`, and counts its failure or forgets those before. Throws what `take` throws. */
export async function countingFailures<Result>(
  batch: LambdaBatch,
  pool: Pool,
  log: Logger,
  take: (givingUp: GivingUp | undefined) => Promise<Result>,
): Promise<Result> {
  try {
    const failures = await failuresAt(pool, batch);
    const taken = failures < MOST_FAILURES ? await take(undefined) : await giveUp(batch, log, take);
    if (failures > 0) await forgetFailures(pool, batch);
    return taken;
  } catch (error) {
    if (isOfRecords(error)) await count(batch, pool, log, error);
    throw error;
  }
}

async function giveUp<Result>(
  { topic, partition, firstOffset, lastOffset }: LambdaBatch,
  log: Logger,
  take: (givingUp: GivingUp) => Promise<Result>,
): Promise<Result> {
  const givenUp = new Set<number>();
  try {
    return await take({ isOfRecords, note: (offset) => givenUp.add(offset) });
  } finally {
    if (givenUp.size > 0) {
      log.error("records were given up: they failed alone, and are dead letters now", {
        topic,
        partition,
        firstOffset,
        lastOffset,
        records: givenUp.size,
      });
      recordMetrics({ GaveUpRecords: givenUp.size }, { topic });
    }
  }
}

async function count(batch: LambdaBatch, pool: Pool, log: Logger, error: unknown): Promise<void> {
  const { topic, partition, firstOffset } = batch;
  try {
    await countFailure(pool, batch, codeOf(error));
  } catch (uncounted) {
    log.warn("a failure could not be counted", {
      topic,
      partition,
      firstOffset,
      error: loggable(uncounted),
    });
  }
}

const codeOf = (error: unknown): string =>
  sqlState(error) ?? (error instanceof AppError ? error.code : reasonWithoutData(error));

/**
 * SQLSTATE classes, besides what passes by itself, that no record brings about: a plan or a prepared
 * statement that is out of date, a table, column or right that a release lacks, a disk.
 */
const OF_THE_DATABASE = /^(?:0A|25|26|3F|42|58|F0)/;

/** Whether the failure may be of the records, so that trying them again cannot mend it. */
export function isOfRecords(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  if (thrown instanceof AppError) {
    const { code, cause } = thrown;
    return code === "ingest.attempts" && (cause === undefined || isOfRecords(cause));
  }
  if (databaseError(thrown)?.kind === "unavailable") return false;
  if (!("code" in thrown) || thrown.code === undefined) return true;
  const code = String(thrown.code);
  // Any other code is of a socket, a stream, a certificate.
  return isSqlState(code) && !OF_THE_DATABASE.test(code);
}
