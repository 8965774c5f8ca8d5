/** The stretch of event time, in whole days, that holds every counted event which may still change its group. */
import { instantText, type Sql } from "../sql.ts";

export interface CountedRange {
  /** µs: [from, to). */
  readonly fromMicros: number;
  readonly toMicros: number;
  readonly texts: readonly [string, string];
}

const DAY_MICROS = 86_400_000_000;

/** Nothing older than `raw_from` changes; weeks without events are left out at both ends. */
export async function countedRange(sql: Sql, eventCursor: number): Promise<CountedRange> {
  const { rows } = await sql.query<{ least: number | null; greatest: number | null }>({
    name: "counted-range",
    text: `select
             greatest(min(least_time), (select raw_from from clock)) as least,
             max(greatest_time) as greatest
           from stream_batches
           where tx < $1`,
    values: [eventCursor],
  });
  const { least, greatest } = rows[0] ?? {};
  const fromMicros = floorToDay(greatest == null || least == null ? 0 : least);
  const toMicros = greatest == null ? 0 : Math.max(fromMicros, floorToDay(greatest) + DAY_MICROS);
  return { fromMicros, toMicros, texts: [instantText(fromMicros), instantText(toMicros)] };
}

export const floorToDay = (micros: number): number => Math.floor(micros / DAY_MICROS) * DAY_MICROS;
