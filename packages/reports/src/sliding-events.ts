/** Events of one type in the order of their time, read by the index of that order alone. */
import { instantText, type Sql } from "@headrace/db";
import type { PointSource, SlidingQuery } from "./sliding.ts";
import type { FramePart } from "./sliding-frames.ts";

/**
 * For the rest of the transaction. What statistics say of the newest events is old, and a scan of a
 * week that looks cheap to the planner reads millions of rows for a page of a hundred.
 */
export async function readByIndex(moment: Sql): Promise<void> {
  await moment.query("set local enable_seqscan = off; set local enable_bitmapscan = off");
}

interface EventRow extends Record<string, unknown> {
  event_time: number;
  event_id: string;
  value: number | null;
}

/** One more than the limit tells whether another page follows. */
export async function readPoints(moment: Sql, query: SlidingQuery): Promise<PointSource[]> {
  const { eventType, fromMicros, toMicros, after, limit } = query;
  // A row comparison prunes no partitions, hence the first time beside it.
  const { rows } = await moment.query<EventRow>(
    `select event_time, event_id, value
     from stream_events
     where event_type = $1
       and event_time >= $2
       and event_time < $3
       and (event_time, event_id) ${after === undefined ? ">=" : ">"} ($2, $4)
     order by event_time, event_id
     limit $5`,
    [
      eventType,
      instantText(after?.micros ?? fromMicros),
      instantText(toMicros),
      after?.eventId ?? LEAST_ID,
      limit + 1,
    ],
  );
  return rows.map(({ event_time: micros, event_id: eventId, value }) => ({
    micros,
    eventId,
    value,
  }));
}

const LEAST_ID = "00000000-0000-0000-0000-000000000000";

/** Values of the last `count` events before the page, in order; null where an event has none. */
export async function readValuesBefore(
  moment: Sql,
  { eventType, fromMicros, after }: SlidingQuery,
  count: number,
): Promise<(number | null)[]> {
  const beforeMicros = after?.micros ?? fromMicros;
  const sinceMicros = await leastTimeOf(moment, eventType, beforeMicros, count);
  if (sinceMicros === null) return [];
  const { rows } = await moment.query<{ packed: Buffer | null }>(
    `select string_agg(packed, ''::bytea order by event_time, event_id) as packed
     from (
       select event_time, event_id, coalesce(float8send(value), float8send('NaN')) as packed
       from stream_events
       where event_type = $1
         and event_time >= $2
         and event_time <= $3
         and (event_time, event_id) ${after === undefined ? "<" : "<="} ($3, $4)
       order by event_time desc, event_id desc
       limit $5
     ) as before`,
    [
      eventType,
      instantText(sinceMicros),
      instantText(beforeMicros),
      after?.eventId ?? LEAST_ID,
      count,
    ],
  );
  const packed = rows[0]?.packed ?? Buffer.alloc(0);
  return Array.from({ length: packed.length / 8 }, (_, place) => {
    const value = packed.readDoubleBE(8 * place);
    return Number.isNaN(value) ? null : value;
  });
}

/**
 * A time from which on the type has `count` events before `beforeMicros`, or all that there are: the
 * days' windows know, and keep the statement to the partitions that it needs. null: there are none.
 * Types without windows of their own share some, which tell only where the first of them begins.
 */
async function leastTimeOf(
  moment: Sql,
  eventType: string,
  beforeMicros: number,
  count: number,
): Promise<number | null> {
  const { rows } = await moment.query<{ since: number | null }>(
    `with window_type as materialized (
       select coalesce((select event_type from event_types where event_type = $1), 'other') as name
     ),
     day as (
       select window_start, sum(event_count) over (order by window_start desc) as events
       from (
         select window_start, event_count
         from realtime_aggregates
         where size = '1d'
           and event_type = (select name from window_type)
           and window_end <= $2
         order by window_start desc
         limit $3
       ) as latest
     )
     select coalesce(
       (
         select max(window_start)
         from day
         where events >= $3
           and (select name from window_type) = $1
           and $1 <> 'other'
       ),
       least(
         (
           select min(window_start)
           from realtime_aggregates
           where size = '1d'
             and event_type = (select name from window_type)
         ),
         (select min(window_start) from open_windows)
       )
     ) as since`,
    [eventType, instantText(beforeMicros), count],
  );
  return rows[0]?.since ?? null;
}

/** Events with a value, and whether there are more than could be read. */
export interface RawParts {
  readonly parts: FramePart[];
  /** Everything before this instant was read, µs. */
  readonly readUntil: number;
}

/** [from, to) in µs. */
export async function readRawParts(
  moment: Sql,
  { eventType, rawLimit }: SlidingQuery,
  fromMicros: number,
  toMicros: number,
): Promise<RawParts> {
  if (fromMicros >= toMicros) return { parts: [], readUntil: toMicros };
  const { rows } = await moment.query<{ packed: Buffer | null }>(
    `select string_agg(
       timestamptz_send(event_time) || float8send(value),
       ''::bytea
       order by event_time
     ) as packed
     from (
       select event_time, value
       from stream_events
       where event_type = $1
         and event_time >= $2
         and event_time < $3
         and value is not null
       order by event_time
       limit $4
     ) as found`,
    [eventType, instantText(fromMicros), instantText(toMicros), rawLimit],
  );
  const packed = rows[0]?.packed ?? Buffer.alloc(0);
  const parts = Array.from({ length: packed.length / 16 }, (_, place) => ({
    at: sentMicros(packed, 16 * place),
    what: packed.readDoubleBE(16 * place + 8),
  }));
  return { parts, readUntil: parts.length < rawLimit ? toMicros : (parts.at(-1)?.at ?? toMicros) };
}

/** Where PostgreSQL's clock begins: 2000-01-01, in µs since 1970. */
const EPOCH_MICROS = 946_684_800_000_000;

/** What `timestamptz_send` wrote at `at`, in µs since 1970. */
export const sentMicros = (packed: Buffer, at: number): number =>
  packed.readInt32BE(at) * 2 ** 32 + packed.readUInt32BE(at + 4) + EPOCH_MICROS;
