/**
 * Every hour: makes the coming weeks' partitions of raw events and drops what is past its retention.
 *
 * Ingest makes a missing partition by itself, so this only keeps that off its path.
 */
import { expireDeadLetterBytes, expireWindows, makePartitionsAhead, repeated } from "@headrace/db";
import { type Cron, cronHandler } from "@headrace/handler";

/** Rows per transaction. */
const SLICE = 2000;

export const cron: Cron = {
  name: "maintain-partitions",

  async run({ pool, lease, signal }) {
    await makePartitionsAhead(pool);
    for (const expire of [expireWindows, expireDeadLetterBytes]) {
      while (!signal.aborted && (await repeated(() => expire(pool, lease, SLICE))) > 0);
    }
  },
};

export const handler = cronHandler(cron);
