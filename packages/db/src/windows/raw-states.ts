/**
 * Window states made again from raw events, for rows whose own state is past its retention.
 *
 * Everything that the snapshot shows is in the result, also what open states still hold: who adds
 * open states to it counts twice.
 */
import { WindowState } from "@headrace/windows";
import { instantText, type Sql } from "../sql.ts";
import type { TypeStretch } from "./open-windows.ts";

interface RawRow extends Record<string, unknown> {
  user_id: string;
  value: number | null;
  amount_cents: number | null;
  duration: number | null;
  late_class: 0 | 1 | 2 | 3 | 4;
}

/** One state for the whole stretch. Its events have to fit in memory: at most a day of one type. */
export async function rawState(sql: Sql, stretch: TypeStretch): Promise<WindowState> {
  const { rows } = await sql.query<RawRow>(
    `select user_id, value, amount_cents, duration, late_class
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
    state.add({
      userId: row.user_id,
      value: row.value,
      amountCents: row.amount_cents,
      durationSeconds: row.duration,
      lateClass: row.late_class,
    });
  }
  return state;
}
