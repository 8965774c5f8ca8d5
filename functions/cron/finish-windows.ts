/**
 * Every second: lets the overall watermark rise and folds open window states into their rows.
 *
 * Reports add what is still open themselves, so they are exact whether this ran or not; it keeps
 * the queue short and gives SQL tools finished rows.
 */
import { advanceWatermark, finishWindows, hasUnfinishedWindows, repeated } from "@headrace/db";
import { type Cron, cronHandler } from "@headrace/handler";

/** Open states per transaction; 4,000 keep it well under the 2 s that a write may last. */
const SLICE = 2000;

export const cron: Cron = {
  name: "finish-windows",

  async run({ pool, lease, signal }) {
    await advanceWatermark(pool);
    while (!signal.aborted && (await hasUnfinishedWindows(pool))) {
      const { folded, finalised } = await repeated(() => finishWindows(pool, lease, SLICE));
      if (folded < SLICE && finalised < SLICE) return;
    }
  },
};

export const handler = cronHandler(cron);
