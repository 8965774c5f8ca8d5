/**
 * Rows of windows made again from raw events, while ingest and the finisher go on.
 *
 * An hour is read beforehand, as far as the cut; then one short transaction holds the finisher, folds
 * what is open of that hour, adds the events since, and replaces what differs. So a reader finds a
 * window as it was or as it is right, and a day's row, made from its hours when they are done, loses
 * nothing in between. A changed row is a revision of it.
 */
import {
  floorTo,
  WINDOW_MICROS,
  type WindowFigures,
  WindowState,
  windowStart,
} from "@headrace/windows";
import type { AuditRange } from "../audit/difference.ts";
import { holdingCrons } from "../leases.ts";
import { type Client, instantText, inTransaction, type Pool, type Sql } from "../sql.ts";
import {
  foldOpenWindows,
  type Pending,
  readTerms,
  rollUp,
  standing,
  type WindowTerms,
} from "../windows/fold-open-windows.ts";
import { type OpenWindow, takeOpenWindowsOf } from "../windows/open-windows.ts";
import { addRawEvent, RAW_EVENT_COLUMNS, type RawEvent } from "../windows/raw-events.ts";
import {
  deleteWindows,
  figureColumns,
  readStoredWindows,
  type StoredWindow,
  type WindowKey,
  type WrittenWindow,
  windowKeyText,
  writeWindows,
} from "../windows/window-rows.ts";
import { rawFromOf } from "./raw-from.ts";

const HOUR = WINDOW_MICROS["1h"];
const DAY = WINDOW_MICROS["1d"];
/** Types per transaction: an hour of one is up to 421 rows. */
const TYPES = 20;
const FINISHER = ["finish-windows"];
const HOUR_SIZES = ["10s", "1m", "1h"] as const;

/** Of the whole days that the range touches. Returns how many rows were changed. */
export async function rebuildWindows(
  pool: Pool,
  range: AuditRange,
  onProgress: (micros: number) => void,
): Promise<number> {
  const oldest = await rawFromOf(pool);
  let changed = 0;
  for (let day = floorTo(range.fromMicros, DAY); day < range.toMicros; day += DAY) {
    if (day < oldest) continue;
    for (let hour = day; hour < day + DAY; hour += HOUR) {
      changed += await rebuildHour(pool, hour);
      onProgress(hour + HOUR);
    }
    changed += await rebuildDay(pool, day);
  }
  return changed;
}

async function rebuildHour(pool: Pool, hour: number): Promise<number> {
  const before = await readBeforehand(pool, hour);
  let changed = 0;
  for (let at = 0; at < before.types.length; at += TYPES) {
    const types = before.types.slice(at, at + TYPES);
    changed += await holdingCrons(pool, FINISHER, async (client) => {
      const terms = await readTerms(client);
      await foldOpen(client, hour, types, terms);
      const since = await rawTens(client, hour, { fromTx: before.cut });
      const all = [...before.tens, ...since].filter(({ eventType }) => types.includes(eventType));
      const stored = await readStoredWindows(client, HOUR_SIZES, hour, hour + HOUR, types);
      return replace(client, stored, rollUp(all, HOUR_SIZES), terms);
    });
  }
  return changed;
}

interface Beforehand {
  /** All events of smaller transactions are in `tens`. */
  readonly cut: number;
  readonly tens: readonly OpenWindow[];
  /** Under which the hour has events, rows or open states. */
  readonly types: readonly string[];
}

function readBeforehand(pool: Pool, hour: number): Promise<Beforehand> {
  return inTransaction(pool, "repeatable read", async (moment) => {
    const { rows } = await moment.query<{ cut: number; types: string[] }>(
      `select
         tx_horizon() as cut,
         array(
           select event_type
           from realtime_aggregates
           where size in ('10s', '1m', '1h')
             and window_start >= $1
             and window_start < $2
           union
           select event_type
           from open_windows
           where window_start >= $1
             and window_start < $2
         ) as types`,
      [instantText(hour), instantText(hour + HOUR)],
    );
    const { cut = 0, types = [] } = rows[0] ?? {};
    const tens = await rawTens(moment, hour, { toTx: cut });
    const all = new Set([...types, ...tens.map(({ eventType }) => eventType)]);
    return { cut, tens, types: [...all].sort() };
  });
}

/** The finisher's own work for the hour, so that nothing of it is open any more. */
async function foldOpen(
  client: Client,
  hour: number,
  types: readonly string[],
  terms: WindowTerms,
): Promise<void> {
  const stretches = types.map((eventType) => ({ eventType, from: hour, to: hour + HOUR }));
  const taken = await takeOpenWindowsOf(client, stretches);
  if (taken.length === 0) return;
  const sizes = [...HOUR_SIZES, "1d"] as const;
  await writeWindows(client, await foldOpenWindows(client, taken, sizes, terms));
}

/** Of the rows of its hours, which hold all that is not open. */
function rebuildDay(pool: Pool, day: number): Promise<number> {
  return holdingCrons(pool, FINISHER, async (client) => {
    const hours = await readStoredWindows(client, ["1h"], day, day + DAY);
    const truth = new Map<string, Pending>();
    for (const { eventType, state } of hours) {
      if (state === null) continue;
      const key = { size: "1d" as const, windowStart: day, eventType };
      const known = truth.get(windowKeyText(key));
      if (known === undefined) truth.set(windowKeyText(key), { ...key, state: state.clone() });
      else known.state.merge(state);
    }
    const stored = await readStoredWindows(client, ["1d"], day, day + DAY);
    return replace(client, stored, truth, await readTerms(client));
  });
}

async function replace(
  client: Client,
  stored: readonly StoredWindow[],
  truth: ReadonlyMap<string, Pending>,
  terms: WindowTerms,
): Promise<number> {
  const kept = new Map(stored.map((row) => [windowKeyText(row), row]));
  const written: WrittenWindow[] = [];
  let renewed = 0;
  for (const [key, pending] of truth) {
    const row = kept.get(key);
    kept.delete(key);
    const end = pending.windowStart + WINDOW_MICROS[pending.size];
    if (row === undefined) {
      if (end > terms.oldestEnd[pending.size])
        written.push({ ...pending, ...standing(undefined, end, terms) });
    } else if (!hasFigures(row, pending.state.figures())) {
      written.push({ ...pending, ...standing(row, end, terms) });
    } else if (hasOtherState(row, pending)) {
      written.push({ ...pending, final: row.final, revision: row.revision });
      // Parts merged in another order give the same figures by other bytes: nothing was wrong.
      if (row.state !== null && hasFigures(row, row.state.figures())) renewed += 1;
    }
  }
  const surplus: WindowKey[] = [...kept.values()];
  if (written.length > 0) await writeWindows(client, written);
  if (surplus.length > 0) await deleteWindows(client, surplus);
  return written.length + surplus.length - renewed;
}

/** States of small windows expire; those of hours and days, which days are made of, must be there. */
const hasOtherState = ({ state, size }: StoredWindow, truth: Pending): boolean =>
  state === null ? size === "1h" || size === "1d" : !state.encode().equals(truth.state.encode());

const hasFigures = (row: StoredWindow, figures: WindowFigures): boolean =>
  Object.entries(figureColumns(figures)).every(([column, value]) => row.columns[column] === value);

interface RawRow extends RawEvent {
  window_start: number;
  window_type: string;
}

/** States of an hour's 10 s windows from raw events of some transactions. */
async function rawTens(
  sql: Sql,
  hour: number,
  { fromTx = 0, toTx = Number.MAX_SAFE_INTEGER }: { fromTx?: number; toTx?: number },
): Promise<OpenWindow[]> {
  const { rows } = await sql.query<RawRow>(
    `select
       event_time as window_start,
       coalesce(known.event_type, 'other') as window_type,
       ${RAW_EVENT_COLUMNS}
     from stream_events
     left join event_types known using (event_type)
     where event_time >= $1
       and event_time < $2
       and tx >= $3
       and tx < $4`,
    [instantText(hour), instantText(hour + HOUR), fromTx, toTx],
  );
  const tens = new Map<string, OpenWindow>();
  for (const row of rows) {
    const start = windowStart(row.window_start, "10s");
    const key = `${start} ${row.window_type}`;
    let ten = tens.get(key);
    if (ten === undefined) {
      ten = { windowStart: start, eventType: row.window_type, state: WindowState.empty() };
      tens.set(key, ten);
    }
    addRawEvent(ten.state, row);
  }
  return [...tens.values()];
}
