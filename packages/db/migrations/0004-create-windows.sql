-- Tumbling windows: open states that ingest appends, and the rows that the finisher folds them into.
--
-- Why        a report reads a few rows here instead of every event; ingest neither reads nor locks.
-- Invariant  realtime_aggregates folded with open_windows = the same figures over stream_events, in
--            every snapshot. A row's columns are worked out from its state; state is null once
--            state_retention has passed, and is then made again from raw events when one comes.
-- Size       a row per window, type and size; 100 bytes to 8 kB each by the number of users.
-- Locks      new objects only; safe while functions run.

create table open_windows (
  tx            bigint      not null default (pg_current_xact_id()::text::bigint + 0),
  window_start  timestamptz not null,
  event_type    text        not null,
  gap_id        bigint      not null,
  state         bytea       not null,

  constraint open_windows_pkey primary key (tx, window_start, event_type, gap_id),
  constraint open_windows_start_on_ten_seconds check (micros(window_start) % 10000000 = 0)
) with (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000,
  -- Giving the empty end of the queue back would lock ingest out for a moment, every few seconds.
  vacuum_truncate = false
);

alter table open_windows alter column state set storage external;

comment on table open_windows is
  'A queue of window states, one row per batch, window and type; appended by ingest, taken by the finisher.';

create index open_windows_by_start_idx on open_windows (window_start);

create table realtime_aggregates (
  size            text             not null,
  window_start    timestamptz      not null,
  window_end      timestamptz      not null,
  event_type      text             not null,
  event_count     bigint           not null,
  value_count     bigint           not null,
  value_sum       double precision,
  value_mean      double precision,
  value_min       double precision,
  value_max       double precision,
  value_stddev    double precision,
  value_p50       double precision,
  value_p95       double precision,
  value_p99       double precision,
  distinct_users  bigint           not null,
  revenue         numeric(20, 2)   not null,
  duration_mean   double precision,
  late_events     bigint           not null,
  final           boolean          not null,
  revision        integer,
  state           bytea,

  constraint realtime_aggregates_pkey primary key (size, window_start, event_type),
  constraint realtime_aggregates_size_is_known check (size in ('10s', '1m', '1h', '1d')),
  constraint realtime_aggregates_hold_events check (event_count > 0 and value_count between 0 and event_count),
  constraint realtime_aggregates_late_events_are_events check (late_events between 0 and event_count),
  constraint realtime_aggregates_revise_when_final check (final = (revision is not null))
) with (fillfactor = 50);

alter table realtime_aggregates alter column state set storage external;

-- One type over a long time; the primary key serves all types of a time.
create index realtime_aggregates_by_type_idx on realtime_aggregates (size, event_type, window_start);

-- What becomes final next.
create index realtime_aggregates_unfinished_idx on realtime_aggregates (window_end)
  where not final;

grant select on open_windows, realtime_aggregates to headrace_worker, headrace_orders, headrace_reports;
grant insert, delete on open_windows to headrace_worker;
grant insert, update, delete on realtime_aggregates to headrace_worker;

-- What leaves the range of a double is null: one absurd value must not make a view fail.
create function double_or_null(exact numeric) returns double precision
  language sql
  immutable
  parallel safe
return case when abs(exact) <= 1.7976931348623157e308 then exact::double precision end;

-- 10 s windows as a SQL tool sees them: finished rows as they stand; those with open states worked
-- out from raw events, exactly.
create view v_realtime_windows
  with (security_invoker = true)
as
  with open_keys as (
    select distinct
      window_start,
      event_type
    from open_windows
  ),
  finished as (
    select
      window_start,
      window_end,
      event_type,
      event_count,
      value_count,
      value_sum,
      value_mean,
      value_min,
      value_max,
      value_stddev,
      value_p50,
      value_p95,
      value_p99,
      distinct_users,
      revenue,
      duration_mean,
      final,
      revision,
      late_events
    from realtime_aggregates
    where size = '10s'
      and not exists (
        select
        from open_keys
        where open_keys.window_start = realtime_aggregates.window_start
          and open_keys.event_type = realtime_aggregates.event_type
      )
  ),
  open as (
    select
      open_keys.window_start,
      open_keys.window_start + interval '10 seconds' as window_end,
      open_keys.event_type,
      raw.*,
      coalesce(kept.final or clock.watermark >= open_keys.window_start + interval '10 seconds', false) as final,
      case
        when kept.final then kept.revision + 1
        when clock.watermark >= open_keys.window_start + interval '10 seconds' then 0
      end as revision
    from open_keys
    cross join clock
    left join realtime_aggregates kept
      on kept.size = '10s'
      and kept.window_start = open_keys.window_start
      and kept.event_type = open_keys.event_type
    cross join lateral (
      select
        count(*) as event_count,
        count(value) as value_count,
        double_or_null(sum(value::numeric)) as value_sum,
        double_or_null(avg(value::numeric)) as value_mean,
        min(value) as value_min,
        max(value) as value_max,
        double_or_null(stddev_samp(value::numeric)) as value_stddev,
        (array_agg(value order by value) filter (where value is not null))[1 + floor(0.5 * (count(value) - 1))::integer] as value_p50,
        (array_agg(value order by value) filter (where value is not null))[1 + floor(0.95 * (count(value) - 1))::integer] as value_p95,
        (array_agg(value order by value) filter (where value is not null))[1 + floor(0.99 * (count(value) - 1))::integer] as value_p99,
        count(distinct user_id) as distinct_users,
        coalesce(sum(amount_cents), 0)::numeric(20, 2) / 100 as revenue,
        double_or_null(avg(duration::numeric)) as duration_mean,
        count(*) filter (where late_class > 0) as late
      from stream_events
      where event_time >= open_keys.window_start
        and event_time < open_keys.window_start + interval '10 seconds'
        and case
              when exists (select from event_types known where known.event_type = stream_events.event_type)
              then stream_events.event_type
              else 'other'
            end = open_keys.event_type
    ) as raw
  )
  select
    window_start, window_end, event_type, event_count, value_count, value_sum, value_mean,
    value_min, value_max, value_stddev, value_p50, value_p95, value_p99, distinct_users,
    revenue, duration_mean, final, revision, late_events
  from finished
  union all
  select
    window_start, window_end, event_type, event_count, value_count, value_sum, value_mean,
    value_min, value_max, value_stddev, value_p50, value_p95, value_p99, distinct_users,
    revenue::numeric(20, 2), duration_mean, final, revision, late
  from open;

-- The last full minute, from raw events.
create view v_realtime_kpi
  with (security_invoker = true)
as
  select
    minute.start as "from",
    minute.start + interval '1 minute' as "to",
    count(event_id) as events,
    count(distinct user_id) as unique_users,
    (coalesce(sum(amount_cents) filter (where event_type = 'purchase'), 0) / 100.0)::numeric(20, 2) as revenue,
    count(*) filter (where event_type = 'purchase') as purchases,
    double_or_null(avg(duration::numeric) filter (where event_type = 'page_view')) as mean_session_duration
  from (select date_trunc('minute', now()) - interval '1 minute' as start) as minute
  left join stream_events
    on event_time >= minute.start
    and event_time < minute.start + interval '1 minute'
  group by minute.start;

grant select on v_realtime_windows, v_realtime_kpi to headrace_worker, headrace_orders, headrace_reports;
