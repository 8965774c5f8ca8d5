/**
 * Every second: keeps what PostgreSQL knows of raw events up with those that have come.
 *
 * Autovacuum does the same in its rounds, by default a minute apart. At 15,000 events a second each slice
 * of a follower would go through hundreds of thousands of events until then; nothing but speed depends
 * on it.
 */
import { followSlices, keepStatistics, STATISTICS_KEEPER } from "@headrace/db";
import { type Cron, cronHandler } from "@headrace/handler";

/** Events; 0.4 µs each. */
const SLICE = 500_000;

export const cron: Cron = {
  name: STATISTICS_KEEPER,

  async run({ pool, lease, signal }) {
    await followSlices(pool, STATISTICS_KEEPER, signal, () => keepStatistics(pool, lease, SLICE));
  },
};

export const handler = cronHandler(cron);
