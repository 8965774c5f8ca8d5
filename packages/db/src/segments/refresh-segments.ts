/**
 * Keeps the windows by segment and by category up to date: with events behind the cut, and with what
 * users and products are counted under.
 *
 * A slice of events adds to its windows under the groups that are counted at that moment. A change of
 * a dimension takes what the key's counted events have added from its old group and gives it to the
 * new one, in the transaction that changes the counted group; the next slice begins behind it. So one
 * snapshot holds every event once, under one group.
 */
import { followSlice, hasSlice, type Slice } from "../followers/follow.ts";
import type { Lease } from "../leases.ts";
import type { Client, Pool, Sql } from "../sql.ts";
import { contributionsOfArrived, planForContributions, SEGMENT_KINDS } from "./contributions.ts";
import { changeCursor, hasGroupChanges } from "./group-changes.ts";
import { addToDeltas, addToSegmentWindows } from "./segment-rows.ts";
import { stagingMove } from "./staged-moves.ts";

/** The follower's lease, and so its cursor. */
export const SEGMENTS_FOLLOWER = "refresh-segments";

/** Adds the next slice of events; undefined when there is none. See `followSlice`. */
export function addSegmentEvents(
  pool: Pool,
  lease: Lease,
  limit: number,
): Promise<Slice | undefined> {
  return followSlice(pool, lease, limit, async (client, slice) => {
    await planForContributions(client);
    await addToStagedMove(client, slice);
    await addToSegmentWindows(client, contributionsOfArrived(slice, { by: SEGMENT_KINDS }));
  });
}

/** A move that is being staged has its difference for these events too, as far as its days go. */
async function addToStagedMove(client: Client, slice: Slice): Promise<void> {
  const move = await stagingMove(client);
  if (move === undefined) return;
  const { moveId, by, key, group, stagedUntilMicros: beforeMicros } = move;
  const moved = { by, keys: [key], groups: [group] };
  const added = contributionsOfArrived(slice, { by: [by], moved, beforeMicros });
  await addToDeltas(client, added, moveId);
}

/** Whether a run would change anything; a cheap look that writes nothing. */
export const hasSegmentWork = async (sql: Sql): Promise<boolean> =>
  (await hasSlice(sql, SEGMENTS_FOLLOWER)) || (await hasGroupWork(sql));

/** Whether users or products are to be moved to other groups. */
export async function hasGroupWork(sql: Sql): Promise<boolean> {
  for (const by of SEGMENT_KINDS) {
    if (await hasGroupChanges(sql, by, await changeCursor(sql, by))) return true;
  }
  const { rows } = await sql.query<{ found: boolean }>(
    "select exists (select from segment_moves) or exists (select from segment_deltas) as found",
  );
  return rows[0]?.found === true;
}
