/**
 * Moves a key that has touched too many events for one transaction: a few days of event time at a time,
 * into deltas that nobody adds yet. When all days are in, one small transaction gives the key its new
 * group and puts the deltas in force, and readers add them until they are folded into the windows.
 *
 * One key at a time. Slices of events that come meanwhile add their difference to the deltas
 * (`refresh-segments.ts`), so that these are right whenever they come into force. The key may change
 * again in between: that is looked at when its move has ended.
 */
import { type Lease, requireCursor } from "../leases.ts";
import { type Client, instantText, inTransaction, type Pool, type Sql } from "../sql.ts";
import { contributionsOfMoved, planForContributions, type SegmentKind } from "./contributions.ts";
import { countedRange, floorToDay } from "./counted-range.ts";
import { DIMENSIONS, setGroups } from "./group-changes.ts";
import { addToDeltas, dropLeftDeltas, foldDeltas } from "./segment-rows.ts";

export interface Move {
  readonly moveId: number;
  readonly by: SegmentKind;
  readonly key: string;
  readonly group: string;
  /** µs; -Infinity where nothing is staged. */
  readonly stagedUntilMicros: number;
  readonly inForce: boolean;
}

export interface MoveLimits {
  /** The key's events in one step, at most, but never less than a day of them. */
  readonly events: number;
  /** Deltas folded in one step. */
  readonly deltas: number;
}

const DAY_MICROS = 86_400_000_000;

/** The move whose turn it is. */
async function firstMove(sql: Sql): Promise<Move | undefined> {
  const { rows } = await sql.query<{
    move_id: number;
    by: SegmentKind;
    key: string;
    group: string;
    staged_until: number;
    in_force: boolean;
  }>(
    `select move_id, by, key, to_group as "group", coalesce(staged_until, '-infinity') as staged_until, in_force
     from segment_moves
     order by in_force desc, segment_moves.staged_until nulls last, move_id
     limit 1`,
  );
  const [row] = rows;
  return (
    row && {
      moveId: row.move_id,
      by: row.by,
      key: row.key,
      group: row.group,
      stagedUntilMicros: row.staged_until,
      inForce: row.in_force,
    }
  );
}

/** The move that has staged some days and is not in force yet. */
export async function stagingMove(sql: Sql): Promise<Move | undefined> {
  const move = await firstMove(sql);
  return move?.inForce === false && move.stagedUntilMicros !== -Infinity ? move : undefined;
}

/** Takes the next step; false where there is none. */
export function advanceMoves(pool: Pool, lease: Lease, limits: MoveLimits): Promise<boolean> {
  return inTransaction(pool, "repeatable read", async (client) => {
    const eventCursor = await requireCursor(client, lease);
    const move = await firstMove(client);
    if (move === undefined) return (await dropLeftDeltas(client, limits.deltas)) > 0;
    if (!move.inForce) await stageDays(client, move, eventCursor, limits.events);
    else if ((await foldDeltas(client, move.moveId, limits.deltas)) < limits.deltas) {
      await endMove(client, move);
    }
    return true;
  });
}

async function stageDays(
  client: Client,
  move: Move,
  eventCursor: number,
  mostEvents: number,
): Promise<void> {
  const { moveId, by, key, group } = move;
  const moved = { by, keys: [key], groups: [group] };
  const range = await countedRange(client, eventCursor);
  const fromMicros = Math.max(range.fromMicros, move.stagedUntilMicros);
  const untilMicros = await nextBoundary(client, move, fromMicros, range.toMicros, mostEvents);
  const toMicros = untilMicros ?? range.toMicros;
  if (toMicros > fromMicros) {
    const held = { toTx: eventCursor, fromMicros, toMicros };
    await planForContributions(client);
    await addToDeltas(client, contributionsOfMoved(held, moved), moveId);
  }
  if (untilMicros === undefined) await setGroups(client, moved);
  await client.query(
    `update segment_moves
     set staged_until = $2,
         in_force = $3
     where move_id = $1`,
    [
      moveId,
      untilMicros === undefined ? "infinity" : instantText(untilMicros),
      untilMicros === undefined,
    ],
  );
}

/** The day before which lie about as many of the key's events as a step takes; undefined: all do. */
async function nextBoundary(
  sql: Sql,
  { by, key }: Move,
  fromMicros: number,
  toMicros: number,
  mostEvents: number,
): Promise<number | undefined> {
  const { rows } = await sql.query<{ event_time: number }>(
    `select event_time
     from stream_events
     where ${DIMENSIONS[by].key} = $1
       and event_time >= $2
       and event_time < $3
     order by event_time
     offset $4
     limit 1`,
    [key, instantText(fromMicros), instantText(toMicros), mostEvents],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const boundary = Math.max(floorToDay(row.event_time), fromMicros + DAY_MICROS);
  return boundary < toMicros ? boundary : undefined;
}

/** The key may have changed again since its move began: then it waits for its turn once more. */
async function endMove(sql: Sql, { moveId, by, key }: Move): Promise<void> {
  const { table, key: column, group, counted } = DIMENSIONS[by];
  await sql.query("delete from segment_moves where move_id = $1", [moveId]);
  await sql.query(
    `insert into segment_moves (by, key, to_group)
     select $1, ${table}.${column}, coalesce(${table}.${group}, '')
     from ${table}
     left join ${counted} as counted using (${column})
     where ${table}.${column} = $2
       and ${table}.${group} is distinct from counted.${group}`,
    [by, key],
  );
}
