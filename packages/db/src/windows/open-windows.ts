/** Table `open_windows`: the queue of window states that ingest appends to. */
import { WindowState } from "@headrace/windows";
import { instantText, type Sql } from "../sql.ts";

export interface OpenWindow {
  /** Start of a 10 s window, µs. */
  readonly windowStart: number;
  readonly eventType: string;
  readonly state: WindowState;
}

interface Row extends Record<string, unknown> {
  window_start: number;
  event_type: string;
  state: Buffer;
}

const openWindow = (row: Row): OpenWindow => ({
  windowStart: row.window_start,
  eventType: row.event_type,
  state: WindowState.decode(row.state),
});

/** Takes the oldest states, at most `limit`. */
export async function takeOpenWindows(sql: Sql, limit: number): Promise<OpenWindow[]> {
  const { rows } = await sql.query<Row>({
    name: "take-open-windows",
    text: `delete from open_windows
           where ctid = any (array(
             select ctid
             from open_windows
             order by tx
             limit $1
           ))
           returning window_start, event_type, state`,
    values: [limit],
  });
  return rows.map(openWindow);
}

/** A stretch of time of one type, µs, `to` not included. */
export interface TypeStretch {
  readonly eventType: string;
  readonly from: number;
  readonly to: number;
}

/** Takes every state of these stretches. */
export async function takeOpenWindowsOf(
  sql: Sql,
  stretches: readonly TypeStretch[],
): Promise<OpenWindow[]> {
  if (stretches.length === 0) return [];
  const { rows } = await sql.query<Row>(
    `delete from open_windows
     using unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as given (event_type, begins, ends)
     where open_windows.event_type = given.event_type
       and window_start >= begins
       and window_start < ends
     returning window_start, open_windows.event_type, state`,
    [
      stretches.map(({ eventType }) => eventType),
      stretches.map(({ from }) => instantText(from)),
      stretches.map(({ to }) => instantText(to)),
    ],
  );
  return rows.map(openWindow);
}
