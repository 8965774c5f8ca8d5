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
} from "@headrace/handler";
import { type RangePart, readRange } from "@headrace/kafka";

/** Records per transaction, as in an ordinary batch. */
const BATCH = 5000;

export const cron: Cron = {
  name: "fill-gaps",

  async run(context) {
    for (const gap of await listOpenGaps(context.pool)) {
      const { topic, partition, next_offset, to_offset } = gap;
      const kafka = kafkaConfig("fill-gaps");
      for await (const part of readRange(kafka, topic, partition, next_offset, to_offset)) {
        if (context.signal.aborted) return;
        await settle(context, gap, part);
      }
    }
  },
};

async function settle({ pool, log }: CronContext, gap: Gap, part: RangePart): Promise<void> {
  const { topic, partition, gap_id: gapId } = gap;
  if (part.kind !== "records") {
    const count = part.to - part.from;
    const [lost, empty] = part.kind === "empty" ? [0, count] : [count, 0];
    await settleWithoutRecords(pool, gap, {
      gapId,
      nextOffset: part.to,
      lost,
      empty,
      watermarkMicros: null,
    });
    if (lost > 0) log.error("records were lost: Kafka no longer has them", { topic, ...part });
    return;
  }
  for (let from = 0; from < part.records.length; from += BATCH) {
    const records = part.records.slice(from, from + BATCH);
    const [first, last] = [records[0], records.at(-1)];
    if (first === undefined || last === undefined) return;
    await ingestPartition(
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
  }
}

export const handler = cronHandler(cron);
