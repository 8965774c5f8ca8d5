/**
 * GET /v1/reports/segments: windows by the segment of users, or by the category of products.
 *
 * Windows of an hour and a day are read as they are kept, with what is open added in the same snapshot;
 * those of 10 s and a minute are made from raw events. All of them take a user's or product's group as
 * it is counted in that snapshot, so that a change of it shows everywhere or nowhere. Counts, distinct
 * users and sums are exact at every moment.
 */
import {
  contributionsOfArrived,
  instantText,
  openPart,
  planForContributions,
  SEGMENTS_FOLLOWER,
  type SegmentKind,
  type Sql,
} from "@headrace/db";
import { floorTo, WINDOW_MICROS, type WindowSize } from "@headrace/windows";
import * as z from "zod";
import { Count, Figure, InstantText, instantOf, Money } from "./answer.ts";
import type { ReportSql } from "./report-sql.ts";

export const SegmentAnswer = z.strictObject({
  window_start: InstantText,
  /** null: no dimension row, no segment in it, or an event without a product. */
  group: z.string().nullable(),
  event_type: z.string(),
  event_count: Count,
  distinct_users: Count,
  value_sum: Figure,
  revenue: Money,
});
export type SegmentAnswer = z.output<typeof SegmentAnswer>;

/** Where a page ends; "" is group null, which comes first. */
export interface SegmentPlace {
  readonly startMicros: number;
  readonly group: string;
  readonly eventType: string;
}

export interface SegmentsQuery {
  readonly by: SegmentKind;
  readonly size: WindowSize;
  /** null: all types. */
  readonly eventType: string | null;
  /** Windows that start in [from, to), µs. */
  readonly fromMicros: number;
  readonly toMicros: number;
  readonly after: SegmentPlace | undefined;
  readonly limit: number;
}

export interface SegmentsPage {
  readonly segments: SegmentAnswer[];
  /** The last one's place, where more follow. */
  readonly last: SegmentPlace | undefined;
}

export async function readSegments(sql: ReportSql, query: SegmentsQuery): Promise<SegmentsPage> {
  const rows =
    query.size === "1h" || query.size === "1d"
      ? await sql.snapshot((moment) => readKept(moment, query))
      : await readRaw(sql, query);
  const shown = rows.slice(0, query.limit);
  const last = rows.length > query.limit ? shown.at(-1) : undefined;
  return {
    segments: shown.map(answerOf),
    last: last && {
      startMicros: last.window_start,
      group: last.group,
      eventType: last.event_type,
    },
  };
}

interface Row extends Record<string, unknown> {
  window_start: number;
  group: string;
  event_type: string;
  event_count: number;
  distinct_users: number;
  value_sum: number | null;
  revenue: string;
}

const answerOf = (row: Row): SegmentAnswer => ({
  window_start: instantOf(row.window_start),
  group: row.group === "" ? null : row.group,
  event_type: row.event_type,
  event_count: row.event_count,
  distinct_users: row.distinct_users,
  value_sum: row.value_sum,
  revenue: row.revenue,
});

/** Windows that start from here on are wanted; those at the very place are behind it or are not. */
function bounds({ size, fromMicros, toMicros, after }: SegmentsQuery) {
  const width = WINDOW_MICROS[size];
  const from = Math.max(ceilTo(fromMicros, width), after?.startMicros ?? -Infinity);
  return { from, to: Math.max(from, ceilTo(toMicros, width)), width };
}

const ceilTo = (micros: number, step: number): number => -floorTo(-micros, step);

/** The conditions on `window_start`, "group" and `event_type`; the values of `query` are added. */
function pageConditions(query: SegmentsQuery, values: unknown[]): string {
  const { after, eventType } = query;
  const place = (value: unknown): string => `$${values.push(value)}`;
  const conditions = [
    ...(after === undefined
      ? []
      : [
          `(window_start, "group", event_type) > (${place(instantText(after.startMicros))}::timestamptz, ${place(after.group)}::text, ${place(after.eventType)}::text)`,
        ]),
    ...(eventType === null ? [] : [`event_type = ${place(eventType)}`]),
  ];
  return conditions.map((condition) => `and ${condition}`).join("\n    ");
}

async function readKept(moment: Sql, query: SegmentsQuery): Promise<readonly Row[]> {
  const { by, size, eventType } = query;
  const { from, to } = bounds(query);
  const open = await openPart(moment, SEGMENTS_FOLLOWER);
  await planForContributions(moment);
  const { text, values } = contributionsOfArrived(open, {
    by: [by],
    sinceMicros: from,
    beforeMicros: to,
    eventType,
  });
  const place = (value: unknown): string => `$${values.push(value)}`;
  const range = [by, size, instantText(from), instantText(to)].map(place);
  const within = `by = ${range[0]}
    and size = ${range[1]}
    and window_start >= ${range[2]}
    and window_start < ${range[3]}
    ${pageConditions(query, values)}`;
  const most = place(query.limit + 1);
  const { rows } = await moment.query<Row>(
    `with ${text},
     moving as materialized (
       select size, window_start, "group", event_type, event_count, distinct_users, value_count, value_sum, revenue
       from segment_moves
       join segment_deltas using (move_id)
       where in_force
         and ${within}
     ),
     kept as materialized (
       select size, window_start, "group", event_type, event_count, distinct_users, value_count, value_sum, revenue
       from segment_windows
       where ${within}
       order by by, size, window_start, "group", event_type
       limit ${most} + (select count(*) from moving)
     )
     select
       window_start,
       "group",
       event_type,
       sum(event_count)::bigint as event_count,
       sum(distinct_users)::bigint as distinct_users,
       case when sum(value_count) > 0 then double_or_null(sum(value_sum)) end as value_sum,
       sum(revenue)::numeric(24, 2)::text as revenue
     from (
       select * from kept
       union all
       select * from moving
       union all
       select size, window_start, "group", event_type, event_count, distinct_users, value_count, value_sum, revenue
       from contribution
       where ${within}
     ) as part
     group by window_start, "group", event_type
     having sum(event_count) > 0
     order by window_start, "group", event_type
     limit ${most}`,
    values,
  );
  return rows;
}

/** At most an hour of events, which the caller sees to. */
async function readRaw(sql: Sql, query: SegmentsQuery): Promise<readonly Row[]> {
  const { from, to, width } = bounds(query);
  const values: unknown[] = [instantText(from), instantText(to), `${width / 1_000_000} seconds`];
  const { table, key, group } = COUNTED[query.by];
  const { rows } = await sql.query<Row>(
    `with event as (
       select
         date_bin($3::interval, event_time, timestamptz 'epoch') as window_start,
         coalesce(${table}.${group}, '') as "group",
         case when event_type in (select event_type from event_types) then event_type else 'other' end as event_type,
         user_id,
         value,
         amount_cents
       from stream_events
       left join ${table} using (${key})
       where event_time >= $1
         and event_time < $2
     )
     select
       window_start,
       "group",
       event_type,
       count(*) as event_count,
       count(distinct user_id) as distinct_users,
       double_or_null(sum(value::numeric)) as value_sum,
       (coalesce(sum(amount_cents), 0) * 0.01)::numeric(24, 2)::text as revenue
     from event
     where true
       ${pageConditions(query, values)}
     group by window_start, "group", event_type
     order by window_start, "group", event_type
     limit $${values.push(query.limit + 1)}`,
    values,
  );
  return rows;
}

const COUNTED = {
  segment: { table: "user_segments", key: "user_id", group: "segment" },
  category: { table: "product_categories", key: "product_id", group: "category" },
} as const;
