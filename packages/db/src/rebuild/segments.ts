/**
 * Windows by segment and by category made again from raw events, while events and changes go on.
 *
 * One transaction holds the runner of refresh-segments and replaces the rows of an hour, or those of
 * one type on a day, with what the events below its cursor say. So a reader finds a row as it was or as
 * it is right. What a move in force still has to add to these rows is in that already.
 */
import type { AuditRange } from "../audit/difference.ts";
import { holdingCrons } from "../leases.ts";
import {
  contributionsOfHeld,
  planForContributions,
  SEGMENT_KINDS,
} from "../segments/contributions.ts";
import { SEGMENTS_FOLLOWER } from "../segments/refresh-segments.ts";
import { replaceSegmentWindows } from "../segments/segment-rows.ts";
import { instantText, type Pool } from "../sql.ts";
import { rawFromOf } from "./raw-from.ts";

const HOUR = 3_600_000_000;
const DAY = 24 * HOUR;

/** Of the whole days that the range touches. Returns how many rows were changed. */
export async function rebuildSegments(
  pool: Pool,
  range: AuditRange,
  onProgress: (micros: number) => void,
): Promise<number> {
  const oldest = await rawFromOf(pool);
  let changed = 0;
  for (let day = floorToDay(range.fromMicros); day < range.toMicros; day += DAY) {
    if (day < oldest) continue;
    for (let hour = day; hour < day + DAY; hour += HOUR) {
      changed += await rebuildWindow(pool, "1h", hour, null);
    }
    // The users of a whole day's events at once would take longer than a transaction may.
    for (const eventType of await typesOf(pool, day)) {
      changed += await rebuildWindow(pool, "1d", day, eventType);
    }
    onProgress(day + DAY);
  }
  return changed;
}

const floorToDay = (micros: number): number => Math.floor(micros / DAY) * DAY;

function rebuildWindow(
  pool: Pool,
  size: "1h" | "1d",
  fromMicros: number,
  eventType: string | null,
): Promise<number> {
  const toMicros = fromMicros + (size === "1h" ? HOUR : DAY);
  return holdingCrons(pool, [SEGMENTS_FOLLOWER], async (client) => {
    const { rows } = await client.query<{ tx_cursor: number }>(
      "select tx_cursor from leases where name = $1",
      [SEGMENTS_FOLLOWER],
    );
    await planForContributions(client);
    const truth = contributionsOfHeld(
      { toTx: rows[0]?.tx_cursor ?? 0, fromMicros, toMicros },
      { by: SEGMENT_KINDS, eventType },
    );
    return replaceSegmentWindows(client, truth, { size, startMicros: fromMicros, eventType });
  });
}

/** Under which the day has events, or rows that may be wrong. */
async function typesOf(pool: Pool, day: number): Promise<string[]> {
  const { rows } = await pool.query<{ event_type: string }>(
    `select coalesce(event_types.event_type, 'other') as event_type
     from stream_events
     left join event_types on event_types.event_type = stream_events.event_type
     where event_time >= $1
       and event_time < $2
     group by 1
     union
     select event_type
     from segment_windows
     where size = '1d'
       and window_start = $1
     union
     select event_type
     from segment_deltas
     where size = '1d'
       and window_start = $1
     order by 1`,
    [instantText(day), instantText(day + DAY)],
  );
  return rows.map(({ event_type }) => event_type);
}
