/**
 * Windows worked out again from raw events by plain SQL aggregates: what PostgreSQL itself says that
 * they are. Shares no code with the states that keep them.
 */
import { type AuditRange, instantText, type Sql } from "@headrace/db";
import type { WindowSize } from "@headrace/windows";

export interface PlainWindow extends Record<string, unknown> {
  readonly size: WindowSize;
  /** µs */
  readonly window_start: number;
  readonly event_type: string;
  readonly event_count: number;
  readonly value_count: number;
  readonly value_sum: number | null;
  /** Of the values' magnitudes; what the tolerance of a sum is measured by. Beyond 1.8e308: null. */
  readonly abs_sum: number | null;
  readonly value_min: number | null;
  readonly value_max: number | null;
  readonly value_stddev: number | null;
  readonly value_p50: number | null;
  readonly value_p95: number | null;
  readonly value_p99: number | null;
  readonly distinct_users: number;
  readonly revenue: string;
  readonly duration_mean: number | null;
  readonly late_events: number;
  readonly final: boolean;
  /** Past the retention of its size: no row is made for it any more, and one may have been dropped. */
  readonly may_be_gone: boolean;
}

const rank = (q: number): string =>
  `(array_agg(value order by value) filter (where value is not null))[1 + floor(${q} * (count(value) - 1))::integer]`;

const PLAIN = `
  select
    size,
    date_bin(width, event_time, timestamptz 'epoch') as window_start,
    listed.event_type,
    count(*) as event_count,
    count(value) as value_count,
    double_or_null(sum(value::numeric)) as value_sum,
    double_or_null(sum(abs(value::numeric))) as abs_sum,
    min(value) as value_min,
    max(value) as value_max,
    double_or_null(stddev_samp(value::numeric)) as value_stddev,
    ${rank(0.5)} as value_p50,
    ${rank(0.95)} as value_p95,
    ${rank(0.99)} as value_p99,
    count(distinct user_id) as distinct_users,
    (coalesce(sum(amount_cents), 0) / 100)::numeric(20, 2)::text as revenue,
    double_or_null(avg(duration::numeric)) as duration_mean,
    count(*) filter (where late_class > 0) as late_events,
    coalesce(
      date_bin(width, event_time, timestamptz 'epoch') + width <= (select watermark from clock),
      false
    ) as final,
    coalesce(
      date_bin(width, event_time, timestamptz 'epoch') + width
        <= now() - (select case size when '10s' then window_10s_retention when '1m' then window_1m_retention end from settings),
      false
    ) as may_be_gone
  from stream_events
  cross join (
    values ('10s', interval '10 seconds'), ('1m', interval '1 minute'),
           ('1h', interval '1 hour'), ('1d', interval '1 day')
  ) as sizes (size, width)
  cross join lateral (
    select coalesce(
      (select known.event_type from event_types known where known.event_type = stream_events.event_type),
      'other'
    ) as event_type
  ) as listed
  where event_time >= $1
    and event_time < $2
    and size = any ($3)
  group by size, width, date_bin(width, event_time, timestamptz 'epoch'), listed.event_type`;

/** Whole windows of `sizes` in the range, whose ends have to be theirs. */
export async function plainWindows(
  moment: Sql,
  { fromMicros, toMicros }: AuditRange,
  sizes: readonly WindowSize[],
): Promise<PlainWindow[]> {
  const { rows } = await moment.query<PlainWindow>(PLAIN, [
    instantText(fromMicros),
    instantText(toMicros),
    sizes,
  ]);
  return rows;
}
