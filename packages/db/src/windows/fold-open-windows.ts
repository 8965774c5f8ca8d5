/**
 * Open window states merged into the rows that they belong to: which rows change, to what, and whether
 * they are final. Writes nothing but what it takes off the queue.
 */
import { WINDOW_MICROS, type WindowSize, type WindowState, windowStart } from "@headrace/windows";
import type { Sql } from "../sql.ts";
import { type OpenWindow, type TypeStretch, takeOpenWindowsOf } from "./open-windows.ts";
import { rawState } from "./raw-states.ts";
import {
  type KeptWindow,
  readKeptWindows,
  type WindowKey,
  type WrittenWindow,
  windowKeyText,
} from "./window-rows.ts";

export interface Pending extends WindowKey {
  readonly state: WindowState;
}

/** What holds for all rows of a slice; instants in µs. */
export interface WindowTerms {
  readonly watermark: number;
  /** Rows that end at or before this are not made again. */
  readonly oldestEnd: Readonly<Record<WindowSize, number>>;
}

/** The rows of `sizes` that states off the queue change, with what else the queue holds for them. */
export async function foldOpenWindows(
  sql: Sql,
  taken: readonly OpenWindow[],
  sizes: readonly WindowSize[],
  terms: WindowTerms,
): Promise<WrittenWindow[]> {
  let pending = rollUp(taken, sizes);
  let kept = await readKeptWindows(sql, [...pending.values()]);
  const stateless = [...kept.values()].filter(({ state }) => state === null);
  if (stateless.length > 0) {
    // Made again from raw events, which hold what the queue still has for these rows: take that too.
    const rest = await takeOpenWindowsOf(sql, stateless.map(stretchOf));
    pending = rollUp([...taken, ...rest], sizes);
    kept = await readKeptWindows(sql, [...pending.values()]);
  }
  const written: WrittenWindow[] = [];
  for (const [key, { size, windowStart: start, eventType, state }] of pending) {
    const row = kept.get(key);
    const end = start + WINDOW_MICROS[size];
    if (row === undefined && end <= terms.oldestEnd[size]) continue;
    const merged = await mergedState(sql, row, state);
    written.push({
      size,
      windowStart: start,
      eventType,
      state: merged,
      ...standing(row, end, terms),
    });
  }
  return written;
}

async function mergedState(
  sql: Sql,
  row: KeptWindow | undefined,
  added: WindowState,
): Promise<WindowState> {
  if (row === undefined) return added;
  if (row.state === null) return rawState(sql, stretchOf(row));
  row.state.merge(added);
  return row.state;
}

/** A change of a final row is a revision of it. */
export function standing(
  row: Pick<KeptWindow, "final" | "revision"> | undefined,
  end: number,
  { watermark }: WindowTerms,
): { readonly final: boolean; readonly revision: number | null } {
  if (row?.final === true) return { final: true, revision: (row.revision ?? 0) + 1 };
  const final = end <= watermark;
  return { final, revision: final ? 0 : null };
}

/** The windows of `sizes` that hold the given ones. */
export function rollUp(
  open: readonly OpenWindow[],
  sizes: readonly WindowSize[],
): Map<string, Pending> {
  const pending = new Map<string, Pending>();
  for (const { windowStart: start, eventType, state } of open) {
    for (const size of sizes) {
      const key = { size, windowStart: windowStart(start, size), eventType };
      const text = windowKeyText(key);
      const known = pending.get(text);
      if (known === undefined) pending.set(text, { ...key, state: state.clone() });
      else known.state.merge(state);
    }
  }
  return pending;
}

const stretchOf = ({ size, windowStart: from, eventType }: WindowKey): TypeStretch => ({
  eventType,
  from,
  to: from + WINDOW_MICROS[size],
});

export async function readTerms(sql: Sql): Promise<WindowTerms> {
  const { rows } = await sql.query<{ watermark: number; oldest_10s: number; oldest_1m: number }>(
    `select
       coalesce(watermark, '-infinity') as watermark,
       coalesce(now() - window_10s_retention, '-infinity') as oldest_10s,
       coalesce(now() - window_1m_retention, '-infinity') as oldest_1m
     from clock
     cross join settings`,
  );
  const [row] = rows;
  const { watermark = -Infinity, oldest_10s = -Infinity, oldest_1m = -Infinity } = row ?? {};
  return {
    watermark,
    oldestEnd: { "10s": oldest_10s, "1m": oldest_1m, "1h": -Infinity, "1d": -Infinity },
  };
}
