/**
 * Every ten seconds: makes the users anonymous who asked to be erased, once everything of theirs that
 * came before is in the results.
 */
import { continueErasure, listErasures } from "@headrace/db";
import { type Cron, cronHandler } from "@headrace/handler";

/** Events per transaction; of a user with 100,000 in one minute they take about half a second. */
const SLICE = 3000;

export const cron: Cron = {
  name: "erase-users",

  async run({ pool, lease, log, signal }) {
    for (const jobId of await listErasures(pool)) {
      let outcome = await continueErasure(pool, lease, jobId, SLICE);
      while (outcome === "more" && !signal.aborted) {
        outcome = await continueErasure(pool, lease, jobId, SLICE);
      }
      if (signal.aborted) return;
      if (outcome === "done") log.info("a user has been erased", { job: jobId });
    }
  },
};

export const handler = cronHandler(cron);
