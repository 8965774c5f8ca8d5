/**
 * Every ten seconds: reads where each partition's log ends, which tells what is unread and which
 * partitions are idle, and so how far the overall watermark may rise. Before that it ends sessions
 * that a stopped process left standing in a COPY: they hold the cut, and nothing else ends them.
 * And it records, for alarms, how far things are.
 */
import {
  endOverdueTransactions,
  listKnownTopics,
  type Pool,
  readClock,
  readFreshness,
  recordEnds,
  WaitingTime,
} from "@headrace/db";
import {
  type Cron,
  config,
  cronHandler,
  kafkaConfig,
  metricsAreRead,
  recordMetrics,
} from "@headrace/handler";
import { type Admin, createAdmin, type PartitionOffsets } from "@headrace/kafka";
import { AppError } from "@headrace/kernel";
import { readProgress } from "@headrace/reports";

export const cron: Cron = {
  name: "watch-progress",

  async run({ pool, log }) {
    const ended = await endOverdueTransactions(pool);
    if (ended > 0) log.error("sessions whose process had stopped were ended", { sessions: ended });
    // By the ends of the run before; a Kafka that does not answer must not hide it.
    if (metricsAreRead()) await recordProgress(pool, ended);
    const topics = [...new Set([config().eventsTopic, ...(await listKnownTopics(pool))])];
    const admin = createAdmin(kafkaConfig("watch-progress"));
    try {
      const readAt = await readClock(pool);
      const ranges = await Promise.all(topics.map((topic) => rangesOf(admin, topic)));
      await recordEnds(pool, topics, ranges.flat(), readAt);
    } finally {
      await admin.close();
    }
  },
};

const waiting = new WaitingTime();

async function recordProgress(pool: Pool, overdueSessions: number): Promise<void> {
  const { partitions, xmin_age_seconds } = await readProgress(pool);
  const freshness = await readFreshness(pool);
  const { watermarkLagSeconds } = freshness;
  recordMetrics({
    OffsetLag: Math.max(0, ...partitions.map(({ lag }) => lag ?? 0)),
    OpenGaps: partitions.reduce((sum, { gaps }) => sum + gaps, 0),
    XminAgeSeconds: xmin_age_seconds,
    FreshnessSeconds: waiting.after(freshness),
    OverdueSessions: overdueSessions,
    ...(watermarkLagSeconds === null ? {} : { WatermarkLagSeconds: watermarkLagSeconds }),
  });
}

/** A topic that was deleted holds nothing unread. */
async function rangesOf(admin: Admin, topic: string): Promise<readonly PartitionOffsets[]> {
  try {
    return await admin.offsets([topic]);
  } catch (error) {
    if (error instanceof AppError && error.code === "kafka.topic_unknown") return [];
    throw error;
  }
}

export const handler = cronHandler(cron);
