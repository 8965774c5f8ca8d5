/**
 * Every second: adds new events to the windows by segment and by category, and follows changes of
 * users and products.
 *
 * Reports add what is still open themselves, so they are exact whether this ran or not; a change of a
 * dimension shows when it has been followed. Events and changes take turns, so that neither waits for
 * the other's backlog.
 */
import {
  addSegmentEvents,
  advanceMoves,
  followGroupChanges,
  hasGroupWork,
  hasSegmentWork,
  repeated,
  SEGMENTS_FOLLOWER,
} from "@headrace/db";
import { type Cron, cronHandler } from "@headrace/handler";

/** Events of a transaction; 50,000 take about 300 ms. */
const SLICE = 50_000;
/** Events that a transaction moves to other groups, and keys that change; both stay below a second. */
const CHANGES = { events: 10_000, keys: 5_000 } as const;
/** For a key that has touched more. */
const MOVES = { events: 20_000, deltas: 10_000 } as const;

export const cron: Cron = {
  name: SEGMENTS_FOLLOWER,

  async run({ pool, lease, signal }) {
    for (let found = await hasSegmentWork(pool); found && !signal.aborted; ) {
      const slice = await repeated(() => addSegmentEvents(pool, lease, SLICE));
      await repeated(() => followGroupChanges(pool, lease, "segment", CHANGES));
      await repeated(() => followGroupChanges(pool, lease, "category", CHANGES));
      await repeated(() => advanceMoves(pool, lease, MOVES));
      found = slice?.isLast === false || (await hasGroupWork(pool));
    }
  },
};

export const handler = cronHandler(cron);
