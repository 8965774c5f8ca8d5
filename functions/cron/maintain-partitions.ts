/**
 * Every hour: makes the coming weeks' partitions of raw events and drops what is past its retention.
 *
 * Ingest makes a missing partition by itself, so this only keeps that off its path. Weeks of raw events
 * go one run after `raw_from` has passed them, when every result has what they held.
 */
import {
  advanceRawFrom,
  dropExpiredRaw,
  expireBatches,
  expireDeadLetterBytes,
  expireWindows,
  FOLLOWERS,
  makePartitionsAhead,
  repeated,
} from "@headrace/db";
import { type Cron, cronHandler } from "@headrace/handler";

/** Rows per transaction. */
const SLICE = 2000;

export const cron: Cron = {
  name: "maintain-partitions",

  async run({ pool, lease, log, signal }) {
    await makePartitionsAhead(pool);
    for (const { week, outcome } of await dropExpiredRaw(pool, FOLLOWERS)) {
      log.info("a week of raw events is past its retention", { week, outcome });
    }
    await advanceRawFrom(pool);
    for (const expire of [expireBatches, expireWindows, expireDeadLetterBytes]) {
      while (!signal.aborted && (await repeated(() => expire(pool, lease, SLICE))) > 0);
    }
  },
};

export const handler = cronHandler(cron);
