/**
 * Window states of every type made again from raw events, for a stretch of time whose rows or their
 * states are past their retention. As with `rawState`, what open states still hold is in the result.
 */
import { WindowState } from "@headrace/windows";
import { instantText, type Sql } from "../sql.ts";
import { addRawEvent, RAW_EVENT_COLUMNS, type RawEvent } from "./raw-events.ts";

interface RawRow extends RawEvent {
  window_type: string;
}

/** By the type that windows count under. [from, to) in µs; its events have to fit in memory. */
export async function rawStatesByType(
  sql: Sql,
  from: number,
  to: number,
): Promise<ReadonlyMap<string, WindowState>> {
  // Not a named statement: a plan for any range would lock every partition.
  const { rows } = await sql.query<RawRow>(
    `select
       coalesce(known.event_type, 'other') as window_type,
       ${RAW_EVENT_COLUMNS}
     from stream_events
     left join event_types known using (event_type)
     where event_time >= $1
       and event_time < $2`,
    [instantText(from), instantText(to)],
  );
  const states = new Map<string, WindowState>();
  for (const row of rows) {
    let state = states.get(row.window_type);
    if (state === undefined) {
      state = WindowState.empty();
      states.set(row.window_type, state);
    }
    addRawEvent(state, row);
  }
  return states;
}
