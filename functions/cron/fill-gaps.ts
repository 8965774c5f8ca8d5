/**
 * Every ten seconds: reads offsets that were skipped again from Kafka and takes them in by the path
 * that every record takes.
 *
 * What Kafka no longer has is counted as lost and logged as an error; what it covers without holding
 * a record is closed as empty. A run that dies goes on where the last committed batch left off.
 */
import { type Gap, ingestPartition, listOpenGaps, settleWithoutRecords } from "@headrace/db";
import {
  type Cron,
  type CronContext,
  config,
  cronHandler,
  incomingRecord,
  kafkaConfig,
  loggable,
  recordMetrics,
} from "@headrace/handler";
import { type RangePart, readRange } from "@headrace/kafka";
import { AppError } from "@headrace/kernel";

/** Records per transaction, as in an ordinary batch. */
const BATCH = 5000;

export const cron: Cron = {
  name: "fill-gaps",

  async run(context) {
    for (const gap of await listOpenGaps(context.pool)) {
      if (context.signal.aborted) return;
      try {
        await fill(context, gap);
      } catch (error) {
        if (error instanceof AppError && error.code === "lease.lost") throw error;
        // Other topics and partitions must not wait for one that cannot be read.
        const { topic, partition } = gap;
        context.log.error("a gap could not be filled and is tried again", {
          topic,
          partition,
          error: loggable(error),
        });
      }
    }
  },
};

async function fill(context: CronContext, gap: Gap): Promise<void> {
  const { topic, partition, next_offset, to_offset } = gap;
  const kafka = kafkaConfig("fill-gaps");
  for await (const part of readRange(kafka, topic, partition, next_offset, to_offset)) {
    if (context.signal.aborted) return;
    await settle(context, gap, part);
  }
}

async function settle(context: CronContext, gap: Gap, part: RangePart): Promise<void> {
  const { pool, lease, log } = context;
  const { topic, partition, gap_id: gapId } = gap;
  if (part.kind !== "records") {
    const kind = part.kind === "empty" ? "empty" : "lost";
    const settled = await settleWithoutRecords(pool, lease, gap, kind, part.to);
    if (kind === "lost" && settled > 0) {
      recordMetrics({ LostRecords: settled }, { topic });
      log.error("records were lost: Kafka no longer has them", {
        topic,
        partition,
        fromOffset: part.from,
        toOffset: part.to,
        lost: settled,
      });
    }
    return;
  }
  for (let from = 0; from < part.records.length; from += BATCH) {
    const records = part.records.slice(from, from + BATCH);
    const [first, last] = [records[0], records.at(-1)];
    if (first === undefined || last === undefined) return;
    const { stored, deadLetters } = await ingestPartition(
      pool,
      {
        topic,
        partition,
        firstOffset: first.offset,
        lastOffset: last.offset,
        records: records.map(incomingRecord),
      },
      {
        horizonDays: config().eventHorizonDays,
        filling: { gapId, upTo: last.offset + 1, lost: 0, empty: 0 },
      },
    );
    recordMetrics({ EventsStored: stored, DeadLetters: deadLetters }, { topic });
  }
}

export const handler = cronHandler(cron);
