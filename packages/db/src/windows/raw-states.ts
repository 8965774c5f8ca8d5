/**
 * Window states made again from raw events, for rows whose own state is past its retention.
 *
 * Everything that the snapshot shows is in the result, also what open states still hold: who adds
 * open states to it counts twice.
 */
import { WindowState } from "@headrace/windows";
import { instantText, type Sql } from "../sql.ts";
import type { TypeStretch } from "./open-windows.ts";
import { addRawEvent, RAW_EVENT_COLUMNS, type RawEvent } from "./raw-events.ts";

/** One state for the whole stretch. Its events have to fit in memory: at most a day of one type. */
export async function rawState(sql: Sql, stretch: TypeStretch): Promise<WindowState> {
  const { rows } = await sql.query<RawEvent>(
    `select ${RAW_EVENT_COLUMNS}
     from stream_events
     where event_time >= $2
       and event_time < $3
       and case
             when exists (select from event_types known where known.event_type = stream_events.event_type)
             then stream_events.event_type
             else 'other'
           end = $1`,
    [stretch.eventType, instantText(stretch.from), instantText(stretch.to)],
  );
  const state = WindowState.empty();
  for (const row of rows) {
    addRawEvent(state, row);
  }
  return state;
}
