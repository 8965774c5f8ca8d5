/**
 * Every ten seconds: reads where each partition's log ends, which tells what is unread and which
 * partitions are idle, and so how far the overall watermark may rise. Before that it ends sessions
 * that a stopped process left standing in a COPY: they hold the cut, and nothing else ends them.
 */
import { endOverdueTransactions, listKnownTopics, readClock, recordEnds } from "@headrace/db";
import { type Cron, config, cronHandler, kafkaConfig } from "@headrace/handler";
import { type Admin, createAdmin, type PartitionOffsets } from "@headrace/kafka";
import { AppError } from "@headrace/kernel";

export const cron: Cron = {
  name: "watch-progress",

  async run({ pool, log }) {
    const ended = await endOverdueTransactions(pool);
    if (ended > 0) log.error("sessions whose process had stopped were ended", { sessions: ended });
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
