/**
 * What windows say of the values in whole stretches of time: finished rows and open states of one
 * snapshot. Where a window is past its retention, its raw events take its place.
 */
import { instantText, type Sql } from "@headrace/db";
import { invalid } from "@headrace/kernel";
import { ExactTotal, WINDOW_MICROS, type WindowRun, WindowState } from "@headrace/windows";
import { instantOf } from "./answer.ts";
import type { SlidingQuery } from "./sliding.ts";
import { readRawParts, sentMicros } from "./sliding-events.ts";
import type { FramePart } from "./sliding-frames.ts";

/** What holds for all of an event type's windows. */
export interface WindowTerms {
  /** A type beyond the first thousand has none. */
  readonly hasWindows: boolean;
  /** Raw events older than this are gone, µs. */
  readonly rawFromMicros: number;
}

export async function readWindowTerms(moment: Sql, eventType: string): Promise<WindowTerms> {
  const { rows } = await moment.query<{ has_windows: boolean; raw_from: number }>({
    name: "window-terms",
    text: `select
             exists (select from event_types where event_type = $1) as has_windows,
             raw_from
           from clock`,
    values: [eventType],
  });
  const [row] = rows;
  return { hasWindows: row?.has_windows === true, rawFromMicros: row?.raw_from ?? -Infinity };
}

interface RunRow extends Record<string, unknown> {
  /** Place of the run in the list, from 1. */
  readonly run: number;
  readonly is_past_retention: boolean | null;
  /** Whether a window's sum is known to none but its raw events. */
  readonly is_partial: boolean | null;
  /** Start, count and sum of each window. */
  readonly sums: Buffer | null;
  /** Start, length and bytes of each state. */
  readonly states: Buffer | null;
  readonly open_states: Buffer | null;
}

/**
 * One part for each window or state, at its start, in order. Throws `report.expired` where neither
 * windows nor raw events are kept, `sliding.too_dense` where raw events are more than can be read.
 */
export async function readWindowParts(
  moment: Sql,
  query: SlidingQuery,
  terms: WindowTerms,
  runs: readonly WindowRun[],
): Promise<FramePart[]> {
  const found = terms.hasWindows ? await readRuns(moment, query.eventType, runs) : [];
  const parts: FramePart[] = [];
  for (const [place, run] of runs.entries()) {
    const row = found[place];
    const isWhole = row !== undefined && !row.is_past_retention && !row.is_partial;
    parts.push(...(isWhole ? partsOf(row) : await rawInstead(moment, query, terms, run)));
  }
  return parts.sort((a, b) => a.at - b.at);
}

async function rawInstead(
  moment: Sql,
  query: SlidingQuery,
  { rawFromMicros }: WindowTerms,
  { from, to }: WindowRun,
): Promise<FramePart[]> {
  if (from < rawFromMicros) {
    const message = `neither windows nor events from ${instantOf(from)} on are kept any more`;
    throw invalid("report.expired", message, { faults: [{ path: "/from", message }] });
  }
  const { parts, readUntil } = await readRawParts(moment, query, from, to);
  if (readUntil < to) throw tooDense(from);
  return parts;
}

export function tooDense(atMicros: number) {
  const message = `too many events from ${instantOf(atMicros)} on to read them one by one: ask for a later time, or for a step`;
  return invalid("sliding.too_dense", message, { faults: [{ path: "/from", message }] });
}

function* partsOf({ sums, states, open_states: open }: RunRow): Generator<FramePart, void> {
  for (let at = 0; sums !== null && at < sums.length; at += 24) {
    const what = new ExactTotal();
    what.addSum(sums.readDoubleBE(at + 16), Number(sums.readBigInt64BE(at + 8)));
    yield { at: sentMicros(sums, at), what };
  }
  for (const packed of [states, open]) {
    if (packed === null) continue;
    for (let at = 0; at < packed.length; ) {
      const begin = at + 12;
      const end = begin + packed.readUInt32BE(at + 8);
      const what = new ExactTotal();
      WindowState.decode(packed.subarray(begin, end)).addValuesTo(what);
      yield { at: sentMicros(packed, at), what };
      at = end;
    }
  }
}

async function readRuns(
  moment: Sql,
  eventType: string,
  runs: readonly WindowRun[],
): Promise<RunRow[]> {
  const { rows } = await moment.query<RunRow>({
    name: "read-sliding-windows",
    text: RUNS,
    values: [
      runs.map(({ size }) => size),
      runs.map(({ from }) => instantText(from)),
      runs.map(({ to }) => instantText(to)),
      runs.map(({ from, size }) => instantText(from + WINDOW_MICROS[size])),
      eventType,
    ],
  });
  return rows;
}

// $1 size, $2 begin, $3 end and $4 end of the first window of each run, $5 type. A column holds a sum
// to 16 digits, which is enough of a window that never leaves a frame but as a whole; a sum beyond
// the range of doubles is in the state alone.
const RUNS = `
  with runs as materialized (
    select number, size, begins, ends, first_ends
    from unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
      with ordinality as given (size, begins, ends, first_ends, number)
  )
  select
    number as run,
    case size
      when '10s' then first_ends <= now() - window_10s_retention
      when '1m' then first_ends <= now() - window_1m_retention
    end as is_past_retention,
    finished.*,
    open.*
  from runs
  cross join settings
  cross join lateral (
    select
      bool_or(value_sum is null and value_count > 0 and state is null) as is_partial,
      string_agg(
        timestamptz_send(window_start) || int8send(value_count) || float8send(value_sum),
        ''::bytea
      ) filter (where value_sum is not null) as sums,
      string_agg(
        timestamptz_send(window_start) || int4send(length(state)) || state,
        ''::bytea
      ) filter (where value_sum is null and value_count > 0) as states
    from realtime_aggregates
    where size = runs.size
      and event_type = $5
      and window_start >= begins
      and window_start < ends
  ) as finished
  cross join lateral (
    select
      string_agg(
        timestamptz_send(window_start) || int4send(length(state)) || state,
        ''::bytea
      ) as open_states
    from open_windows
    where event_type = $5
      and window_start >= begins
      and window_start < ends
  ) as open
  order by number`;
