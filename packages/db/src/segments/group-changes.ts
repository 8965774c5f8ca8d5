/**
 * Follows changes of the dimensions: what is counted under another group from now on.
 *
 * The cursors are rows of `leases` that nobody holds, so that an epoch covers them. Keys are taken in
 * the order of their change, as many as have together touched a bounded number of events; one that has
 * touched more by itself is left to be moved in slices (`staged-moves.ts`).
 */
import { type Lease, requireCursor } from "../leases.ts";
import { type Client, inTransaction, type Pool, type Sql } from "../sql.ts";
import {
  contributionsOfMoved,
  type MovedKeys,
  planForContributions,
  type SegmentKind,
} from "./contributions.ts";
import { type CountedRange, countedRange } from "./counted-range.ts";
import { addToSegmentWindows } from "./segment-rows.ts";

/** Where a kind's dimension, and what is counted, are kept. */
export const DIMENSIONS = {
  segment: { table: "dim_users", key: "user_id", group: "segment", counted: "user_segments" },
  category: {
    table: "dim_products",
    key: "product_id",
    group: "category",
    counted: "product_categories",
  },
} as const satisfies Record<SegmentKind, Readonly<Record<string, string>>>;

export interface ChangeLimits {
  /** Events that one transaction moves at most; a key that has touched more is staged. */
  readonly events: number;
  /** Keys of one transaction. */
  readonly keys: number;
}

const cursorName = (by: SegmentKind): string => `refresh-segments ${DIMENSIONS[by].table}`;

/** Everything below is counted under its group, or waits in `segment_moves`. */
export async function changeCursor(sql: Sql, by: SegmentKind): Promise<number> {
  const { rows } = await sql.query<{ tx_cursor: number }>({
    name: "read-cursor",
    text: "select tx_cursor from leases where name = $1",
    values: [cursorName(by)],
  });
  return rows[0]?.tx_cursor ?? 0;
}

/** Whether rows of a dimension have changed that may be handled; a cheap look. */
export async function hasGroupChanges(sql: Sql, by: SegmentKind, cursor: number): Promise<boolean> {
  const { rows } = await sql.query<{ found: boolean }>({
    name: `has-changes-${by}`,
    text: `select exists (
             select
             from ${DIMENSIONS[by].table}
             where tx >= $1
               and tx < (select tx_horizon())
           ) as found`,
    values: [cursor],
  });
  return rows[0]?.found === true;
}

/** Handles the next changes of one dimension. False where none are left. */
export function followGroupChanges(
  pool: Pool,
  lease: Lease,
  by: SegmentKind,
  limits: ChangeLimits,
): Promise<boolean> {
  return inTransaction(pool, "repeatable read", async (client) => {
    const eventCursor = await requireCursor(client, lease);
    const cursor = await changeCursor(client, by);
    if (!(await hasGroupChanges(client, by, cursor))) return false;
    const { changes, horizon } = await nextChanges(client, by, cursor, limits.keys + 1);
    const taken = await takeChanges(client, by, changes.slice(0, limits.keys), eventCursor, limits);
    await moveGroups(client, { by, ...columnsOf(taken.touching) }, eventCursor);
    await setGroups(client, { by, ...columnsOf(taken.moved) });
    await stage(client, { by, ...columnsOf(taken.large) });
    const next = changes[taken.moved.length + taken.large.length];
    await client.query(
      `insert into leases (name, tx_cursor)
       values ($1, $2)
       on conflict (name) do update
       set tx_cursor = excluded.tx_cursor`,
      [cursorName(by), next?.tx ?? horizon],
    );
    return next !== undefined;
  });
}

interface Change {
  readonly key: string;
  readonly group: string;
  readonly tx: number;
}

const columnsOf = (changes: readonly Change[]) => ({
  keys: changes.map(({ key }) => key),
  groups: changes.map(({ group }) => group),
});

/** Keys whose group is not the one that is counted, in the order of their change. */
async function nextChanges(
  sql: Sql,
  by: SegmentKind,
  cursor: number,
  limit: number,
): Promise<{ readonly changes: readonly Change[]; readonly horizon: number }> {
  const { table, key, group, counted } = DIMENSIONS[by];
  const { rows } = await sql.query<Record<keyof Change, never> & { horizon: number }>(
    `select
       tx_horizon() as horizon,
       change.*
     from (values (1)) as always
     left join (
       select
         ${table}.${key} as key,
         coalesce(${table}.${group}, '') as group,
         ${table}.tx
       from ${table}
       left join ${counted} as counted using (${key})
       where ${table}.tx >= $1
         and ${table}.tx < (select tx_horizon())
         and ${table}.${group} is distinct from counted.${group}
         and not exists (select from segment_moves where by = '${by}' and segment_moves.key = ${table}.${key})
       order by ${table}.tx, ${table}.${key}
       limit $2
     ) as change on true`,
    [cursor, limit],
  );
  const changes = rows.filter(({ key: found }) => found !== null);
  return { changes, horizon: rows[0]?.horizon ?? cursor };
}

interface Taken {
  /** Those that are counted under their new group from now on. */
  readonly moved: Change[];
  /** Those of them that have touched events. */
  readonly touching: Change[];
  readonly large: Change[];
}

/** A chunk whose every key is large takes some 300 ms to count. */
const COUNTED_AT_ONCE = 200;

/** From the first on, until they have touched as many events as one transaction may move. */
async function takeChanges(
  sql: Sql,
  by: SegmentKind,
  changes: readonly Change[],
  eventCursor: number,
  limits: ChangeLimits,
): Promise<Taken> {
  const taken: Taken = { moved: [], touching: [], large: [] };
  const range = await countedRange(sql, eventCursor);
  let events = 0;
  for (let from = 0; from < changes.length; from += COUNTED_AT_ONCE) {
    const chunk = changes.slice(from, from + COUNTED_AT_ONCE);
    const touched = await countTouched(sql, by, chunk, range, limits.events);
    for (const [index, change] of chunk.entries()) {
      const count = touched[index] ?? 0;
      if (count > limits.events) {
        taken.large.push(change);
        continue;
      }
      events += count;
      if (events > limits.events) return taken;
      taken.moved.push(change);
      if (count > 0) taken.touching.push(change);
    }
  }
  return taken;
}

/** How many events each has, no further than one more than `most`. */
async function countTouched(
  sql: Sql,
  by: SegmentKind,
  changes: readonly Change[],
  range: CountedRange,
  most: number,
): Promise<number[]> {
  const { rows } = await sql.query<{ touched: number }>(
    `select touched
     from unnest($1::text[]) with ordinality as given (key, place)
     cross join lateral (
       select count(*) as touched
       from (
         select
         from stream_events
         where ${DIMENSIONS[by].key} = given.key
           and event_time >= $2
           and event_time < $3
         limit $4 + 1
       ) as event
     ) as counted
     order by place`,
    [changes.map(({ key }) => key), ...range.texts, most],
  );
  return rows.map(({ touched }) => touched);
}

async function moveGroups(client: Client, moved: MovedKeys, eventCursor: number): Promise<void> {
  if (moved.keys.length === 0) return;
  if (moved.by === "category") await startStagingAgain(client);
  const { fromMicros, toMicros } = await countedRange(client, eventCursor);
  const held = { toTx: eventCursor, fromMicros, toMicros };
  await planForContributions(client);
  await addToSegmentWindows(client, contributionsOfMoved(held, moved));
}

/**
 * What a product's move changes depends on the categories of all products that its users have seen. So
 * one that is being staged begins again when another product is moved; its number tells its deltas
 * from those that it has made so far.
 */
async function startStagingAgain(sql: Sql): Promise<void> {
  await sql.query(
    `update segment_moves
     set move_id = default,
         staged_until = null
     where by = 'category'
       and not in_force
       and staged_until is not null`,
  );
}

/** What is counted from now on. */
export async function setGroups(sql: Sql, { by, keys, groups }: MovedKeys): Promise<void> {
  if (keys.length === 0) return;
  const { key, group, counted } = DIMENSIONS[by];
  await sql.query(`delete from ${counted} where ${key} = any ($1)`, [
    keys.filter((_, index) => groups[index] === ""),
  ]);
  await sql.query(
    `insert into ${counted} (${key}, ${group})
     select key, "group"
     from unnest($1::text[], $2::text[]) as given (key, "group")
     where "group" <> ''
     order by key
     on conflict (${key}) do update
     set ${group} = excluded.${group}`,
    [keys, groups],
  );
}

async function stage(sql: Sql, { by, keys, groups }: MovedKeys): Promise<void> {
  if (keys.length === 0) return;
  await sql.query(
    `insert into segment_moves (by, key, to_group)
     select $1, key, "group"
     from unnest($2::text[], $3::text[]) as given (key, "group")`,
    [by, keys, groups],
  );
}
