/** Appends what a transaction adds beside its events: stretches of time and open window states. */
import { instantText, type Sql } from "../sql.ts";
import type { LaneFold } from "./fold.ts";
import { mondayOf } from "./weeks.ts";

/** Table `stream_batches`: one row per lane and week touched. */
export async function appendBatches(
  sql: Sql,
  topic: string,
  partition: number,
  batchNumber: number,
  lanes: readonly LaneFold[],
): Promise<void> {
  const rows = lanes.flatMap((lane) =>
    [...lane.weeks].map(([week, stretch]) => ({ lane, week, stretch })),
  );
  if (rows.length === 0) return;
  await sql.query({
    name: "append-batches",
    text: `insert into stream_batches
             (gap_id, week, topic, partition, batch_number, first_offset, last_offset, rows, least_time, greatest_time)
           select gap_id, week, $1, $2, $3, first_offset, last_offset, rows, least_time, greatest_time
           from unnest(
             $4::bigint[], $5::date[], $6::bigint[], $7::bigint[], $8::integer[],
             $9::timestamptz[], $10::timestamptz[]
           ) as given (gap_id, week, first_offset, last_offset, rows, least_time, greatest_time)`,
    values: [
      topic,
      partition,
      batchNumber,
      rows.map(({ lane }) => lane.gapId),
      rows.map(({ week }) => mondayOf(week)),
      rows.map(({ lane }) => lane.firstOffset),
      rows.map(({ lane }) => lane.lastOffset),
      rows.map(({ stretch }) => stretch.rows),
      rows.map(({ stretch }) => instantText(stretch.leastMicros)),
      rows.map(({ stretch }) => instantText(stretch.greatestMicros)),
    ],
  });
}

/** Table `open_windows`: one row per lane, window and type. */
export async function appendOpenWindows(sql: Sql, lanes: readonly LaneFold[]): Promise<void> {
  const starts: string[] = [];
  const types: string[] = [];
  const gapIds: number[] = [];
  const states: Buffer[] = [];
  for (const lane of lanes) {
    for (const [eventType, windows] of lane.windows) {
      for (const [start, state] of windows) {
        starts.push(instantText(start));
        types.push(eventType);
        gapIds.push(lane.gapId);
        states.push(state.encode());
      }
    }
  }
  if (states.length === 0) return;
  await sql.query({
    name: "append-open-windows",
    text: `insert into open_windows (window_start, event_type, gap_id, state)
           select *
           from unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bytea[])`,
    values: [starts, types, gapIds, states],
  });
}
