/**
 * Every second: finds the partners of new events in every declared join, fills joins that were
 * declared later from history, and deletes what is left of joins that were removed.
 *
 * Reports add what is still open themselves, so they are exact whether this ran or not. New events
 * come first: what is left of the time goes to filling.
 */
import { deleteRetiredJoins, fillJoins, findJoins, hasJoinWork, repeated } from "@headrace/db";
import { type Cron, cronHandler } from "@headrace/handler";

/** Events per transaction; with few users and much to match, 20,000 take half a second. */
const SLICE = 20_000;
/** Left events per transaction; each is one look at its user. */
const FILL = 5_000;
const DELETE = 20_000;

export const cron: Cron = {
  name: "find-joins",

  async run({ pool, lease, signal }) {
    for (let found = await hasJoinWork(pool); found && !signal.aborted; ) {
      const slice = await repeated(() => findJoins(pool, lease, SLICE));
      const filled = await repeated(() => fillJoins(pool, lease, FILL));
      const deleted = await repeated(() => deleteRetiredJoins(pool, lease, DELETE));
      found = slice?.isLast === false || filled || deleted;
    }
  },
};

export const handler = cronHandler(cron);
