/**
 * What must hold from one moment to the next: watermarks and counts never go back, a final row stays
 * final, and its figures change with its revision and with nothing else.
 */
import type { Pool } from "@headrace/db";
import type { Difference } from "./recompute.ts";

export interface Seen {
  /** What only rises, by what it is. */
  readonly levels: Map<string, number>;
  readonly rows: Map<string, SeenRow>;
}

interface SeenRow extends Record<string, unknown> {
  readonly key: string;
  readonly final: boolean;
  readonly revision: number | null;
  readonly event_count: number;
}

export const nothingSeen = (): Seen => ({ levels: new Map(), rows: new Map() });

/** Differences to what was seen before. */
export async function watchMoment(owner: Pool, seen: Seen): Promise<Difference[]> {
  return [...(await watchLevels(owner, seen)), ...(await watchRows(owner, seen))];
}

async function watchLevels(owner: Pool, seen: Seen): Promise<Difference[]> {
  const { rows } = await owner.query<{ key: string; level: number | null }>(
    `select 'overall watermark' as key, micros(watermark) as level
     from clock
     union all
     select 'fence of ' || name, fence
     from leases
     union all
     select topic || '-' || partition || ' ' || what, level
     from stream_progress
     cross join lateral (
       values ('watermark', micros(watermark)), ('batches', batches), ('events', events),
              ('duplicates', duplicates), ('dead letters', dead_letters), ('late', late_1m + late_1h + late_1d + late_older)
     ) as levels (what, level)`,
  );
  const found: Difference[] = [];
  for (const { key, level } of rows) {
    const before = seen.levels.get(key);
    if (before !== undefined && (level === null || level < before)) {
      found.push({ what: "went back", key, expected: `at least ${before}`, actual: level });
    }
    if (level !== null) seen.levels.set(key, level);
  }
  return found;
}

async function watchRows(owner: Pool, seen: Seen): Promise<Difference[]> {
  const { rows } = await owner.query<SeenRow>(
    `select size || ' ' || window_start || ' ' || event_type as key, final, revision, event_count
     from realtime_aggregates`,
  );
  const found: Difference[] = [];
  for (const row of rows) {
    const before = seen.rows.get(row.key);
    if (before !== undefined && !follows(before, row)) {
      found.push({
        what: "row's standing",
        key: row.key,
        expected: `to follow ${text(before)}`,
        actual: text(row),
      });
    }
    seen.rows.set(row.key, row);
  }
  return found;
}

const text = (row: SeenRow): string => JSON.stringify({ ...row, key: undefined });

function follows(before: SeenRow, now: SeenRow): boolean {
  if (now.event_count < before.event_count) return false;
  if (!before.final) return true;
  const hasNewFigures = now.event_count > before.event_count;
  const hasNewRevision = (now.revision ?? -1) > (before.revision ?? -1);
  return (
    now.final && hasNewFigures === hasNewRevision && (now.revision ?? -1) >= (before.revision ?? -1)
  );
}
