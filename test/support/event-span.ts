/** The stretch of time that holds every raw event, and parts of it to ask reports for. */
import type { Sql } from "@headrace/db";

export interface Span {
  readonly fromMicros: number;
  /** Not included. */
  readonly toMicros: number;
}

/** Undefined where there is no event. */
export async function eventSpan(sql: Sql): Promise<Span | undefined> {
  const { rows } = await sql.query<{ first: number | null; last: number | null }>(
    "select min(event_time) as first, max(event_time) as last from stream_events",
  );
  const { first = null, last = null } = rows[0] ?? {};
  return first === null || last === null ? undefined : { fromMicros: first, toMicros: last + 1 };
}

/** All of it, and stretches that begin and end in the middle of hours and days. */
export function unalignedParts({ fromMicros, toMicros }: Span): Span[] {
  const third = Math.floor((toMicros - fromMicros) / 3);
  return [
    { fromMicros, toMicros },
    { fromMicros: fromMicros + third, toMicros: toMicros - third },
    { fromMicros: fromMicros - 1, toMicros: fromMicros + third },
  ].filter((part) => part.fromMicros < part.toMicros);
}
