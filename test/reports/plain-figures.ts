/**
 * The oracle of the window reports: the same answers worked out from raw events by plain SQL
 * aggregates, which share no code with states, folds and reports.
 */
import type { Pool } from "@headrace/db";
import { instantOf, type KpiFigures, type WindowAnswer } from "@headrace/reports";
import { WINDOW_MICROS, type WindowSize } from "@headrace/windows";
import { expect } from "vitest";
import { assertClose } from "../support/close.ts";

/** Answers but for what depends on arrival; windows of a size past its retention are left out. */
export type PlainWindow = Omit<WindowAnswer, "revision"> & { readonly abs_sum: number };

export async function plainWindows(pool: Pool, size: WindowSize): Promise<PlainWindow[]> {
  const { rows } = await pool.query(
    `select
       date_bin($1::interval, event_time, timestamptz 'epoch') as start,
       coalesce(known.event_type, 'other') as event_type,
       count(*) as event_count,
       count(value) as value_count,
       sum(value::numeric)::double precision as value_sum,
       coalesce(sum(abs(value)), 0) as abs_sum,
       avg(value::numeric)::double precision as value_mean,
       min(value) as value_min,
       max(value) as value_max,
       stddev_samp(value::numeric)::double precision as value_stddev,
       (array_agg(value order by value) filter (where value is not null))[1 + floor(0.5 * (count(value) - 1))::integer] as value_p50,
       (array_agg(value order by value) filter (where value is not null))[1 + floor(0.95 * (count(value) - 1))::integer] as value_p95,
       (array_agg(value order by value) filter (where value is not null))[1 + floor(0.99 * (count(value) - 1))::integer] as value_p99,
       count(distinct user_id) as distinct_users,
       (coalesce(sum(amount_cents), 0) / 100)::numeric(20, 2) as revenue,
       avg(duration::numeric)::double precision as duration_mean,
       count(*) filter (where late_class > 0) as late_events,
       coalesce(
         (select watermark from clock)
           >= date_bin($1::interval, event_time, timestamptz 'epoch') + $1::interval,
         false
       ) as final
     from stream_events
     left join event_types known using (event_type)
     group by 1, 2
     having date_bin($1::interval, event_time, timestamptz 'epoch') + $1::interval > coalesce(
       now() - (
         select case $2 when '10s' then window_10s_retention when '1m' then window_1m_retention end
         from settings
       ),
       '-infinity'
     )
     order by 1, 2`,
    [`${WINDOW_MICROS[size] / 1_000_000} seconds`, size],
  );
  return rows.map(({ start, ...row }) => ({
    ...row,
    window_start: instantOf(start),
    window_end: instantOf(start + WINDOW_MICROS[size]),
  }));
}

/** [from, to) in µs. */
export async function plainKpi(pool: Pool, from: number, to: number): Promise<KpiFigures> {
  const { rows } = await pool.query(
    `select
       count(*) as events,
       count(distinct user_id) as unique_users,
       (coalesce(sum(amount_cents) filter (where event_type = 'purchase'), 0) / 100)::numeric(20, 2) as revenue,
       count(*) filter (where event_type = 'purchase') as purchases,
       (avg(duration::numeric) filter (where event_type = 'page_view'))::double precision as mean_session_duration
     from stream_events
     where event_time >= $1
       and event_time < $2`,
    [instantOf(from), instantOf(to)],
  );
  return { from: instantOf(from), to: instantOf(to), ...rows[0] };
}

const EXACT = [
  "window_start",
  "window_end",
  "event_type",
  "event_count",
  "value_count",
  "value_min",
  "value_max",
  "distinct_users",
  "revenue",
  "final",
  "late_events",
] as const;

/** With the contract's tolerances; at most 256 users a window, so that these are exact too. */
export function assertWindows(
  actual: readonly WindowAnswer[],
  expected: readonly PlainWindow[],
): void {
  const exact = (window: Omit<WindowAnswer, "revision">) => EXACT.map((name) => window[name]);
  expect(actual.map(exact)).toEqual(expected.map(exact));
  expected.forEach((plain, at) => {
    const window = actual[at] as WindowAnswer;
    const ofSum = { absolute: 1e-9 * plain.abs_sum };
    assertClose(window.value_sum, plain.value_sum, ofSum);
    assertClose(window.value_mean, plain.value_mean, ofSum);
    assertClose(window.value_stddev, plain.value_stddev, { relative: 1e-9, absolute: 1e-9 });
    for (const name of ["value_p50", "value_p95", "value_p99"] as const) {
      assertClose(window[name], plain[name], { relative: 0.01, absolute: 1e-9 });
    }
    assertClose(window.duration_mean, plain.duration_mean, { relative: 1e-9, absolute: 1e-12 });
    expect(window.revision === null).toBe(!window.final);
  });
}

export function assertKpi(actual: KpiFigures, expected: KpiFigures): void {
  const { mean_session_duration: mean, ...exact } = actual;
  const { mean_session_duration: plainMean, ...plainExact } = expected;
  expect(exact).toEqual(plainExact);
  assertClose(mean, plainMean, { relative: 1e-9, absolute: 1e-12 });
}
