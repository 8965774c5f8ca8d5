/**
 * Every second: finishes gap sessions, their counts per hour, and active users behind the cut.
 *
 * Reports add what is still open themselves, so they are exact whether this ran or not; it keeps what
 * they have to add small, and gives SQL tools the table `sessions`.
 */
import { finishSessions, followSlices, SESSIONS_FOLLOWER } from "@headrace/db";
import { type Cron, cronHandler } from "@headrace/handler";

/** Events per transaction: under a second of work, and few enough sessions cut in two by its end. */
const SLICE = 50_000;

export const cron: Cron = {
  name: SESSIONS_FOLLOWER,

  async run({ pool, lease, signal }) {
    await followSlices(pool, SESSIONS_FOLLOWER, signal, () => finishSessions(pool, lease, SLICE));
  },
};

export const handler = cronHandler(cron);
