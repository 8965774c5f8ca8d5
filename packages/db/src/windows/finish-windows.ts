/**
 * Folds open window states into the rows of all four sizes, and marks rows final.
 *
 * One slice is one repeatable-read transaction: take open states off the queue, merge them into the
 * states of their rows, write the rows. A reader sees the queue and the rows of one snapshot, so an
 * event is counted exactly once before, during and after. The runner's fence is the transaction's
 * first write: one that lost its lease commits nothing. A serialisation failure changes nothing and
 * is for the caller to repeat.
 */
import {
  WINDOW_MICROS,
  WINDOW_SIZES,
  type WindowSize,
  type WindowState,
  windowStart,
} from "@headrace/windows";
import { type Lease, requireLease } from "../leases.ts";
import { inTransaction, type Pool, type Sql } from "../sql.ts";
import {
  type OpenWindow,
  type TypeStretch,
  takeOpenWindows,
  takeOpenWindowsOf,
} from "./open-windows.ts";
import { rawState } from "./raw-states.ts";
import {
  type KeptWindow,
  readKeptWindows,
  type WindowKey,
  type WrittenWindow,
  windowKeyText,
  writeWindows,
} from "./window-rows.ts";

export interface FinishedSlice {
  /** Open states folded. */
  readonly folded: number;
  /** Rows that became final without new figures. */
  readonly finalised: number;
}

interface Pending extends WindowKey {
  readonly state: WindowState;
}

/** What holds for all rows of a slice; instants in µs. */
interface Terms {
  readonly watermark: number;
  /** Rows that end at or before this are not made again. */
  readonly oldestEnd: Readonly<Record<WindowSize, number>>;
}

/** `limit`: open states, and rows to make final, at most; bounds the transaction's time. */
export function finishWindows(pool: Pool, lease: Lease, limit: number): Promise<FinishedSlice> {
  return inTransaction(pool, "repeatable read", async (client) => {
    await requireLease(client, lease);
    const taken = await takeOpenWindows(client, limit);
    const terms = await readTerms(client);
    const written = taken.length === 0 ? [] : await foldSlice(client, taken, terms);
    if (written.length > 0) await writeWindows(client, written);
    return { folded: taken.length, finalised: await markFinal(client, limit) };
  });
}

async function foldSlice(
  sql: Sql,
  taken: readonly OpenWindow[],
  terms: Terms,
): Promise<WrittenWindow[]> {
  let pending = rollUp(taken);
  let kept = await readKeptWindows(sql, [...pending.values()]);
  const stateless = [...kept.values()].filter(({ state }) => state === null);
  if (stateless.length > 0) {
    // Made again from raw events, which hold what the queue still has for these rows: take that too.
    const rest = await takeOpenWindowsOf(sql, stateless.map(stretchOf));
    pending = rollUp([...taken, ...rest]);
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
function standing(
  row: KeptWindow | undefined,
  end: number,
  { watermark }: Terms,
): { readonly final: boolean; readonly revision: number | null } {
  if (row?.final === true) return { final: true, revision: (row.revision ?? 0) + 1 };
  const final = end <= watermark;
  return { final, revision: final ? 0 : null };
}

/** The windows of every size that hold the given ones. */
function rollUp(open: readonly OpenWindow[]): Map<string, Pending> {
  const pending = new Map<string, Pending>();
  for (const { windowStart: start, eventType, state } of open) {
    for (const size of WINDOW_SIZES) {
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

async function readTerms(sql: Sql): Promise<Terms> {
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

/** Rows that the watermark has passed, though nothing came. */
async function markFinal(sql: Sql, limit: number): Promise<number> {
  const { rowCount } = await sql.query({
    name: "mark-windows-final",
    text: `update realtime_aggregates
           set final = true,
               revision = 0
           where ctid = any (array(
             select ctid
             from realtime_aggregates
             where not final
               and window_end <= (select watermark from clock)
             order by window_end
             limit $1
           ))`,
    values: [limit],
  });
  return rowCount ?? 0;
}

/** Whether a slice would change anything; a cheap look that writes nothing. */
export async function hasUnfinishedWindows(sql: Sql): Promise<boolean> {
  const { rows } = await sql.query<{ found: boolean }>(
    `select
       exists (select from open_windows)
       or exists (
         select
         from realtime_aggregates
         where not final
           and window_end <= (select watermark from clock)
       ) as found`,
  );
  return rows[0]?.found === true;
}

/** Lets the overall watermark rise as far as the partitions allow. Instant in µs, null: not known. */
export async function advanceWatermark(sql: Sql): Promise<number | null> {
  const { rows } = await sql.query<{ watermark: number | null }>(
    // Each call is worked out anew, and a partition may stop being idle between two of them.
    `with risen as (
       update clock
       set watermark = greatest(watermark, overall_watermark())
       where watermark is null and overall_watermark() is not null
          or watermark < overall_watermark()
       returning watermark
     )
     select coalesce((select watermark from risen), watermark) as watermark
     from clock`,
  );
  return rows[0]?.watermark ?? null;
}

/**
 * Drops states and rows past their retention; at most `limit` of each. Returns how many.
 *
 * A row goes a minute after the finisher has stopped making such rows again: were it the other way
 * round, a late event between the two would make a row that holds nothing but itself.
 */
export async function expireWindows(pool: Pool, lease: Lease, limit: number): Promise<number> {
  return inTransaction(pool, "repeatable read", async (client) => {
    await requireLease(client, lease);
    const states = await client.query(
      `update realtime_aggregates
       set state = null
       where ctid = any (array(
         select ctid
         from realtime_aggregates
         where size in ('10s', '1m')
           and state is not null
           and final
           and window_start < now() - (select state_retention from settings)
         limit $1
       ))`,
      [limit],
    );
    const rows = await client.query(
      `delete from realtime_aggregates
       where ctid = any (array(
         select ctid
         from realtime_aggregates
         where final
           and (
             size = '10s' and window_end < now() - (select window_10s_retention from settings) - interval '1 minute'
             or size = '1m' and window_end < now() - (select window_1m_retention from settings) - interval '1 minute'
           )
         limit $1
       ))`,
      [limit],
    );
    return (states.rowCount ?? 0) + (rows.rowCount ?? 0);
  });
}
