/**
 * Followers: results that are finished in bulk behind the cut.
 *
 * A follower's cursor is a transaction id in its lease's row: everything below it is in the finished
 * result, everything from it on is open and is added by who reads. A slice is a run of whole
 * transactions from the cursor up to the least one that still runs, so nothing that commits slowly is
 * skipped; it is handled and the cursor is moved in one repeatable-read transaction. A reader that
 * takes the cursor and the result from one snapshot sees each event once: finished or open.
 */
import { bug } from "@headrace/kernel";
import { type Lease, requireCursor } from "../leases.ts";
import { type Client, inTransaction, type Pool, repeated, type Sql } from "../sql.ts";
import { joinStretches, type Stretch } from "./stretches.ts";

/** The events whose `tx` lies in [fromTx, toTx), and the stretches of time that hold them. */
export interface Slice {
  readonly fromTx: number;
  readonly toTx: number;
  readonly rows: number;
  readonly stretches: readonly Stretch[];
  /** Whether it held all that could be handled when it was taken. */
  readonly isLast: boolean;
}

/** The events whose `tx` is at least `fromTx`, as far as the snapshot shows them. */
export type OpenPart = Omit<Slice, "toTx" | "isLast">;

/** Batches that one slice looks at; a transaction has one for each week that it touches. */
const MAX_BATCHES = 5000;

/**
 * Handles the next slice and moves the cursor behind it; undefined when there is none. `limit`: events
 * at most, but never less than one transaction. A serialisation failure changes nothing and is for the
 * caller to repeat.
 */
export function followSlice(
  pool: Pool,
  lease: Lease,
  limit: number,
  work: (client: Client, slice: Slice) => Promise<void>,
): Promise<Slice | undefined> {
  return inTransaction(pool, "repeatable read", async (client) => {
    const slice = await nextSlice(client, await requireCursor(client, lease), limit);
    if (slice === undefined) return undefined;
    await work(client, slice);
    await client.query({
      name: "move-cursor",
      text: "update leases set tx_cursor = $2 where name = $1",
      values: [lease.name, slice.toTx],
    });
    return slice;
  });
}

/**
 * A follower's run: slice after slice until one is the last. What has come meanwhile is left to the next
 * run: a slice of a second costs much less an event than those of some hundred milliseconds.
 */
export async function followSlices(
  pool: Pool,
  follower: string,
  signal: AbortSignal,
  take: () => Promise<Slice | undefined>,
): Promise<void> {
  if (!(await hasSlice(pool, follower))) return;
  while (!signal.aborted) {
    const slice = await repeated(take);
    if (slice === undefined || slice.isLast) return;
  }
}

interface WeekRow extends Record<string, unknown> {
  horizon: number;
  is_all: boolean | null;
  last_tx: number | null;
  rows: number | null;
  least_time: number | null;
  greatest_time: number | null;
}

async function nextSlice(sql: Sql, fromTx: number, limit: number): Promise<Slice | undefined> {
  const { rows } = await sql.query<WeekRow>({
    name: "next-slice",
    text: `with batch as materialized (
             select tx, week, rows, least_time, greatest_time
             from stream_batches
             where tx >= $1
               and tx < (select tx_horizon())
             order by tx
             limit $3 + 1
           ),
           counted as (
             select
               *,
               sum(rows) over (order by tx) - sum(rows) over (partition by tx) as before,
               count(*) over () > $3 and tx = max(tx) over () as is_cut_short
             from batch
           ),
           taken as (
             select *
             from counted
             where before < $2
               and not is_cut_short
           )
           select
             tx_horizon() as horizon,
             (select count(*) from taken) = (select count(*) from batch) as is_all,
             (select max(tx) from taken) as last_tx,
             sum(rows)::bigint as rows,
             min(least_time) as least_time,
             max(greatest_time) as greatest_time
           from taken
           group by week`,
    values: [fromTx, limit, MAX_BATCHES],
  });
  const [first] = rows;
  if (first === undefined) return undefined;
  if (first.last_tx === null) throw bug("follower.slice", "a slice without a transaction");
  const isLast = first.is_all === true;
  return {
    ...partOf(fromTx, rows),
    toTx: isLast ? first.horizon : first.last_tx + 1,
    isLast,
  };
}

/** What a reader has to add to the finished result of `follower`; read it in the same snapshot. */
export async function openPart(moment: Sql, follower: string): Promise<OpenPart> {
  const { rows } = await moment.query<WeekRow & { from_tx: number }>({
    name: "open-part",
    text: `with follower as (
             select coalesce((select tx_cursor from leases where name = $1), 0) as from_tx
           )
           select
             from_tx,
             sum(rows)::bigint as rows,
             min(least_time) as least_time,
             max(greatest_time) as greatest_time
           from follower
           left join stream_batches on tx >= from_tx
           group by from_tx, week`,
    values: [follower],
  });
  return partOf(rows[0]?.from_tx ?? 0, rows);
}

function partOf(fromTx: number, rows: readonly WeekRow[]): OpenPart {
  return {
    fromTx,
    rows: rows.reduce((total, week) => total + (week.rows ?? 0), 0),
    stretches: joinStretches(
      rows.flatMap(({ least_time: fromMicros, greatest_time: toMicros }) =>
        fromMicros === null || toMicros === null ? [] : [{ fromMicros, toMicros }],
      ),
    ),
  };
}

/** Whether a slice waits for `follower`; a cheap look that writes nothing. */
export async function hasSlice(sql: Sql, follower: string): Promise<boolean> {
  const { rows } = await sql.query<{ found: boolean }>({
    name: "has-slice",
    text: `select exists (
             select
             from stream_batches
             where tx >= coalesce((select tx_cursor from leases where name = $1), 0)
               and tx < (select tx_horizon())
           ) as found`,
    values: [follower],
  });
  return rows[0]?.found === true;
}

/** Whether every event below `tx` is in the finished results of all `followers`. */
export async function haveFollowed(
  sql: Sql,
  followers: readonly string[],
  tx: number,
): Promise<boolean> {
  const { rows } = await sql.query<{ done: boolean }>(
    `select
       $2 <= tx_horizon()
       and not exists (
         select
         from unnest($1::text[]) as follower (name)
         join stream_batches
           on tx >= coalesce((select tx_cursor from leases where leases.name = follower.name), 0)
          and tx < $2
       ) as done`,
    [followers, tx],
  );
  return rows[0]?.done === true;
}
