/**
 * Windows by segment and by category against raw events under the groups that are counted, and those
 * groups against the dimensions.
 */
import { instantText, type Sql } from "../sql.ts";
import { comparePairs } from "./compare-pairs.ts";
import type { Audited, AuditRange } from "./difference.ts";

const SIZES = [
  { size: "1h", unit: "hour", widthMicros: 3_600_000_000 },
  { size: "1d", unit: "day", widthMicros: 86_400_000_000 },
] as const;

/** Windows that lie whole in the range: a day is compared where the range holds all of it. */
export async function auditSegmentWindows(
  moment: Sql,
  range: AuditRange,
  limit: number,
): Promise<Audited[]> {
  const audited: Audited[] = [];
  for (const { size, unit, widthMicros } of SIZES) {
    const from = Math.ceil(range.fromMicros / widthMicros) * widthMicros;
    const to = Math.floor(range.toMicros / widthMicros) * widthMicros;
    const values = [size, unit, instantText(from), instantText(Math.max(from, to))];
    audited.push(await comparePairs(moment, `segments ${size}`, WINDOWS, values, limit));
  }
  return audited;
}

/** The groups that are counted against the dimensions, which know no time: all of them. */
export async function auditGroups(moment: Sql, limit: number): Promise<Audited[]> {
  const audited: Audited[] = [];
  for (const { what, text } of GROUPS) {
    audited.push(await comparePairs(moment, what, text, [], limit));
  }
  return audited;
}

const FIGURES = "event_count, distinct_users, value_count, value_sum, revenue";
// trim_scale: 1.50 and 1.5 are one number, but not one text.
const AS_JSON = `jsonb_build_object(
        'event_count', event_count,
        'distinct_users', distinct_users,
        'value_count', value_count,
        'value_sum', trim_scale(value_sum),
        'revenue', trim_scale(revenue)
      )`;

const KEPT_GROUPS = [
  { by: "segment", table: "user_segments", key: "user_id" },
  { by: "category", table: "product_categories", key: "product_id" },
] as const;

// $1 size, $2 its unit, $3 and $4 the range.
const WINDOWS = `
  ${KEPT_GROUPS.map(
    ({ by, table, key }) => `
  met_by_${by} as (
    select
      date_trunc($2, event_time, 'UTC') as window_start,
      coalesce(counted.${by}, '') as "group",
      coalesce(event_types.event_type, 'other') as event_type,
      user_id,
      count(*) as event_count,
      count(value) as value_count,
      sum(value::numeric) as value_sum,
      sum(amount_cents::numeric) / 100 as revenue
    from stream_events event
    left join event_types on event_types.event_type = event.event_type
    left join ${table} counted using (${key})
    where event_time >= $3
      and event_time < $4
      and tx < coalesce((select tx_cursor from leases where name = 'refresh-segments'), 0)
    group by 1, 2, 3, 4
  )`,
  ).join(",")},
  truth as (
    ${KEPT_GROUPS.map(
      ({ by }) => `
    select
      '${by}' as by,
      window_start,
      "group",
      event_type,
      sum(event_count) as event_count,
      count(*) as distinct_users,
      sum(value_count) as value_count,
      coalesce(sum(value_sum), 0) as value_sum,
      coalesce(sum(revenue), 0) as revenue
    from met_by_${by}
    group by 1, 2, 3, 4`,
    ).join(" union all ")}
  ),
  stored as (
    select
      by,
      window_start,
      "group",
      event_type,
      sum(event_count) as event_count,
      sum(distinct_users) as distinct_users,
      sum(value_count) as value_count,
      sum(value_sum) as value_sum,
      sum(revenue) as revenue
    from (
      select by, size, window_start, "group", event_type, ${FIGURES}
      from segment_windows
      union all
      select by, size, window_start, "group", event_type, ${FIGURES}
      from segment_deltas
      join segment_moves using (move_id)
      where in_force
    ) as part
    where size = $1
      and window_start >= $3
      and window_start < $4
    group by 1, 2, 3, 4
    having sum(event_count) <> 0
      or sum(distinct_users) <> 0
  ),
  pair as materialized (
    select
      by || ' ' || "group" || ' ' || event_type || ' ' || window_start as key,
      truth.figures as expected,
      stored.figures as actual
    from (select *, ${AS_JSON} as figures from truth) as truth
    full join (select *, ${AS_JSON} as figures from stored) as stored
      using (by, window_start, "group", event_type)
  )`;

/** A change that has not been followed yet, and one that is being moved, is no difference. */
const GROUPS = [
  { what: "segments of users", dimension: "dim_users", ...KEPT_GROUPS[0] },
  { what: "categories of products", dimension: "dim_products", ...KEPT_GROUPS[1] },
].map(({ what, by, dimension, table, key }) => ({
  what,
  text: `
  pair as materialized (
    select
      ${key} as key,
      to_jsonb(dimension.${by}) as expected,
      to_jsonb(counted.${by}) as actual
    from ${dimension} dimension
    full join ${table} counted using (${key})
    where coalesce(
        dimension.tx < (select tx_cursor from leases where name = 'refresh-segments ${dimension}'),
        dimension.tx is null
      )
      and not exists (select from segment_moves where by = '${by}' and key = ${key})
  )`,
}));
