/**
 * Tables `segment_windows` and `segment_deltas`: what is kept, and what waits to be in force.
 *
 * One writer at a time: whoever adds holds the lease of refresh-segments, or keeps its runner out.
 */
import { instantText, type Sql } from "../sql.ts";
import type { Contributions } from "./contributions.ts";

/** The columns behind the key, all of which add up. */
const FIGURES = ["event_count", "distinct_users", "value_count", "value_sum", "revenue"] as const;
const KEY = 'by, size, window_start, "group", event_type';

/** Adds to the windows; one that is left without events goes. Returns the rows changed. */
export async function addToSegmentWindows(
  sql: Sql,
  { text, values }: Contributions,
): Promise<number> {
  const { rowCount } = await sql.query(`with ${text}, ${CHANGED} ${WRITTEN}`, values);
  return rowCount ?? 0;
}

// A row whose users are told by deltas that are still to be folded has none of its own, or no events.
const IS_EMPTY = "(event_count = 0 and distinct_users = 0)";

// The kept row is read first and written whole: a check sees an inserted row before its conflict, and
// what is taken away is no row that could be. The laterals keep the reads to the primary key.
const CHANGED = `
      changed as materialized (
        select
          ${KEY.split(", ")
            .map((column) => `contribution.${column}`)
            .join(", ")},
          kept.place,
          ${FIGURES.map(
            (figure) => `contribution.${figure} + coalesce(kept.${figure}, 0) as ${figure}`,
          ).join(",\n          ")}
        from contribution
        left join lateral (
          select ctid as place, ${FIGURES.join(", ")}
          from segment_windows
          where by = contribution.by
            and size = contribution.size
            and window_start = contribution.window_start
            and "group" = contribution."group"
            and event_type = contribution.event_type
          offset 0
        ) as kept on true
      ),
      emptied as (
        delete from segment_windows
        where ctid = any (array(select place from changed where ${IS_EMPTY} and place is not null))
      )`;

const WRITTEN = `
      insert into segment_windows (${KEY}, ${FIGURES.join(", ")})
      select ${KEY}, ${FIGURES.join(", ")}
      from changed
      where not ${IS_EMPTY}
      order by ${KEY}
      on conflict (${KEY}) do update
      set ${FIGURES.map((figure) => `${figure} = excluded.${figure}`).join(",\n          ")}`;

export interface ReplacedWindows {
  readonly size: "1h" | "1d";
  readonly startMicros: number;
  /** null: of every type. */
  readonly eventType: string | null;
}

/** Puts `truth` in the place of these windows, and of what moves in force would add. Returns the rows changed. */
export async function replaceSegmentWindows(
  sql: Sql,
  truth: Contributions,
  { size, startMicros, eventType }: ReplacedWindows,
): Promise<number> {
  const values = [...truth.values, size, instantText(startMicros), eventType];
  const at = truth.values.length;
  const meant = `size = $${at + 1}
          and window_start = $${at + 2}
          and ($${at + 3}::text is null or event_type = $${at + 3})`;
  const { rows } = await sql.query<{ changed: number }>(
    `with ${truth.text},
      subsumed as (
        delete from segment_deltas
        using segment_moves
        where segment_moves.move_id = segment_deltas.move_id
          and in_force
          and ${meant}
      ),
      surplus as (
        delete from segment_windows as kept
        where ${meant}
          and by in ('segment', 'category')
          and not exists (
            select
            from contribution
            where (contribution.by, contribution.size, contribution.window_start, contribution."group", contribution.event_type)
              = (kept.by, kept.size, kept.window_start, kept."group", kept.event_type)
          )
        returning 1
      ),
      written as (
        insert into segment_windows as kept (${KEY}, ${FIGURES.join(", ")})
        select ${KEY}, ${FIGURES.join(", ")}
        from contribution
        where ${meant}
        order by ${KEY}
        on conflict (${KEY}) do update
        set ${FIGURES.map((figure) => `${figure} = excluded.${figure}`).join(",\n            ")}
        where (${FIGURES.map((figure) => `kept.${figure}`).join(", ")})
          is distinct from (${FIGURES.map((figure) => `excluded.${figure}`).join(", ")})
        returning 1
      )
      select (select count(*) from surplus) + (select count(*) from written) as changed`,
    values,
  );
  return rows[0]?.changed ?? 0;
}

/** Adds to the deltas of a move, which may be below zero. */
export async function addToDeltas(
  sql: Sql,
  { text, values }: Contributions,
  moveId: number,
): Promise<void> {
  await sql.query(
    `with ${text}
      insert into segment_deltas as kept
        (move_id, size, window_start, "group", event_type, ${FIGURES.join(", ")})
      select
        $${values.length + 1}::bigint, size, window_start, "group", event_type, ${FIGURES.join(", ")}
      from contribution
      order by size, window_start, "group", event_type
      on conflict (move_id, size, window_start, "group", event_type) do update
      set ${FIGURES.map((figure) => `${figure} = kept.${figure} + excluded.${figure}`).join(",\n          ")}`,
    [...values, moveId],
  );
}

/** Folds deltas of a move that is in force into the windows, at most `limit`. Returns how many. */
export async function foldDeltas(sql: Sql, moveId: number, limit: number): Promise<number> {
  const { rows } = await sql.query<{ folded: number }>(
    `with taken as (
        delete from segment_deltas
        where ctid = any (array(
          select ctid
          from segment_deltas
          where move_id = $1
          order by size, window_start, "group", event_type
          limit $2
        ))
        returning *
      ),
      contribution as materialized (
        select by, taken.*
        from taken
        join segment_moves using (move_id)
      ),
      ${CHANGED},
      written as (${WRITTEN})
      select count(*) as folded
      from taken`,
    [moveId, limit],
  );
  return rows[0]?.folded ?? 0;
}

/** Drops deltas of moves that are no more; at most `limit`. Returns how many. */
export async function dropLeftDeltas(sql: Sql, limit: number): Promise<number> {
  const { rowCount } = await sql.query(
    `delete from segment_deltas
     where ctid = any (array(
       select ctid
       from segment_deltas
       where not exists (select from segment_moves where segment_moves.move_id = segment_deltas.move_id)
       limit $1
     ))`,
    [limit],
  );
  return rowCount ?? 0;
}
