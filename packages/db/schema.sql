-- Made by `npm run schema:dump` from a migrated database; not to be edited.

create table active_days (
  day date not null,
  previous_day date not null,
  users bigint not null,
  constraint active_days_pkey PRIMARY KEY (day, previous_day),
  constraint active_days_are_not_negative CHECK ((users >= 0)),
  constraint active_days_come_one_after_the_other CHECK ((previous_day < day))
) with (fillfactor=50);

create table active_users (
  by text not null,
  start timestamp with time zone not null,
  users bigint not null,
  constraint active_users_pkey PRIMARY KEY (by, start),
  constraint active_users_are_not_negative CHECK ((users >= 0)),
  constraint active_users_by_is_known CHECK ((by = ANY (ARRAY['minute'::text, 'hour'::text])))
) with (fillfactor=50);

create table audit_runs (
  run_id bigint generated always as identity not null,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone not null,
  range_from timestamp with time zone not null,
  range_to timestamp with time zone not null,
  ok boolean not null,
  checked jsonb not null,
  differences jsonb not null,
  at_offsets jsonb not null,
  constraint audit_runs_pkey PRIMARY KEY (run_id)
);

create table clock (
  singleton boolean not null default true,
  watermark timestamp with time zone,
  raw_from timestamp with time zone not null default '-infinity'::timestamp with time zone,
  constraint clock_pkey PRIMARY KEY (singleton),
  constraint clock_has_one_row CHECK (singleton)
);

create table dead_letters (
  dead_letter_id uuid not null,
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  record_time timestamp with time zone not null,
  code text not null,
  path text not null,
  message text not null,
  key bytea,
  bytes bytea,
  created_at timestamp with time zone not null default clock_timestamp(),
  replayed_at timestamp with time zone,
  tx bigint not null default (((pg_current_xact_id())::text)::bigint + 0),
  constraint dead_letters_pkey PRIMARY KEY (dead_letter_id),
  constraint dead_letters_code_is_noun_and_reason CHECK ((code ~ '^[a-z_]+\.[a-z0-9_]+$'::text))
);

create table dim_products (
  product_id text not null,
  name text not null,
  category text not null,
  price numeric(12,2) not null,
  stock integer not null default 0,
  reorder_point integer,
  updated_at timestamp with time zone not null default now(),
  tx bigint not null default (((pg_current_xact_id())::text)::bigint + 0),
  constraint dim_products_pkey PRIMARY KEY (product_id),
  constraint dim_products_category_is_not_empty CHECK ((category <> ''::text)),
  constraint dim_products_price_is_money CHECK ((price >= (0)::numeric)),
  constraint dim_products_reorder_point_is_not_negative CHECK ((reorder_point >= 0)),
  constraint dim_products_stock_is_not_negative CHECK ((stock >= 0))
);

create table dim_users (
  user_id text not null,
  name text not null,
  segment text,
  region text,
  registered_at timestamp with time zone,
  updated_at timestamp with time zone not null default now(),
  tx bigint not null default (((pg_current_xact_id())::text)::bigint + 0),
  constraint dim_users_pkey PRIMARY KEY (user_id),
  constraint dim_users_segment_is_not_empty CHECK ((segment <> ''::text))
);

create table epochs (
  epoch integer not null,
  system_identifier bigint not null,
  raised_at timestamp with time zone not null default clock_timestamp(),
  constraint epochs_pkey PRIMARY KEY (epoch),
  constraint epochs_fit_beside_a_transaction_id CHECK (((epoch >= 0) AND (epoch <= 511)))
);

create table erased_users (
  hash bytea not null,
  erased_at timestamp with time zone not null,
  constraint erased_users_pkey PRIMARY KEY (hash),
  constraint erased_users_hash_has_32_bytes CHECK ((length(hash) = 32))
);

create table erasure_key (
  singleton boolean not null default true,
  key bytea not null,
  constraint erasure_key_pkey PRIMARY KEY (singleton),
  constraint erasure_key_has_32_bytes CHECK ((length(key) = 32)),
  constraint erasure_key_is_one CHECK (singleton)
);

create table erasures (
  job_id uuid not null,
  hash bytea not null,
  state text not null,
  requested_at timestamp with time zone not null default clock_timestamp(),
  erased_at timestamp with time zone not null,
  settle_tx bigint,
  user_id text,
  new_user_id text,
  next_time timestamp with time zone not null default '-infinity'::timestamp with time zone,
  events bigint not null default 0,
  finished_at timestamp with time zone,
  constraint erasures_pkey PRIMARY KEY (job_id),
  constraint erasures_name_the_user_until_done CHECK ((((state = 'done'::text) = (user_id IS NULL)) AND ((state = 'done'::text) = (new_user_id IS NULL)))),
  constraint erasures_say_when_they_were_done CHECK (((state = 'done'::text) = (finished_at IS NOT NULL))),
  constraint erasures_state_is_known CHECK ((state = ANY (ARRAY['waiting'::text, 'running'::text, 'done'::text])))
);

create table event_types (
  event_type text not null,
  registered_at timestamp with time zone not null default clock_timestamp(),
  constraint event_types_pkey PRIMARY KEY (event_type)
);

create table join_counts (
  join_id integer not null,
  size text not null,
  window_start timestamp with time zone not null,
  matches bigint not null,
  not_listed bigint not null,
  constraint join_counts_pkey PRIMARY KEY (join_id, size, window_start),
  constraint join_counts_are_possible CHECK (((matches >= 0) AND (not_listed >= 0))),
  constraint join_counts_size_is_known CHECK ((size = ANY (ARRAY['1m'::text, '1h'::text])))
) with (fillfactor=50);

create table join_lefts (
  join_id integer not null,
  left_time timestamp with time zone not null,
  left_event_id uuid not null,
  user_id text not null,
  constraint join_lefts_pkey PRIMARY KEY (join_id, left_time, left_event_id)
);

create table join_rights (
  join_id integer not null,
  user_id text not null,
  right_time timestamp with time zone not null,
  right_event_id uuid not null,
  constraint join_rights_pkey PRIMARY KEY (join_id, user_id, right_time, right_event_id)
);

create table joins (
  join_id integer generated always as identity not null,
  name text not null,
  version integer not null,
  left_type text not null,
  right_type text not null,
  within_micros bigint not null,
  state text not null,
  filled_from timestamp with time zone not null,
  fill_start timestamp with time zone,
  fill_end timestamp with time zone,
  declared_at timestamp with time zone not null default clock_timestamp(),
  constraint joins_versions_are_counted UNIQUE (name, version),
  constraint joins_pkey PRIMARY KEY (join_id),
  constraint joins_name_is_a_name CHECK ((name ~ '^[a-z][a-z0-9_-]{0,63}$'::text)),
  constraint joins_reach_a_day_at_most CHECK (((within_micros >= 1) AND (within_micros <= '86400000000'::bigint))),
  constraint joins_state_is_known CHECK ((state = ANY (ARRAY['filling'::text, 'active'::text, 'retired'::text]))),
  constraint joins_that_answer_are_filled CHECK (((state <> 'active'::text) OR (filled_from = '-infinity'::timestamp with time zone))),
  constraint joins_types_are_types CHECK (((left_type ~ '^[a-z][a-z0-9_.]{0,63}$'::text) AND (right_type ~ '^[a-z][a-z0-9_.]{0,63}$'::text)))
);

create table kept_sessions (
  user_id text not null,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone not null,
  event_count bigint not null,
  purchases bigint not null,
  value_sum numeric,
  revenue_cents bigint not null,
  constraint kept_sessions_pkey PRIMARY KEY (user_id, started_at),
  constraint kept_sessions_end_after_their_start CHECK ((ended_at >= started_at)),
  constraint kept_sessions_hold_events CHECK (((event_count > 0) AND ((purchases >= 0) AND (purchases <= event_count))))
) with (fillfactor=70);

create table leases (
  name text not null,
  fence bigint not null default 0,
  holder text,
  expires_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  waiting text,
  tx_cursor bigint not null default 0,
  constraint leases_pkey PRIMARY KEY (name),
  constraint leases_fence_is_not_negative CHECK ((fence >= 0))
);

create table migrations (
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default clock_timestamp(),
  constraint migrations_pkey PRIMARY KEY (name)
);

create table open_windows (
  tx bigint not null default (((pg_current_xact_id())::text)::bigint + 0),
  window_start timestamp with time zone not null,
  event_type text not null,
  gap_id bigint not null,
  state bytea storage external not null,
  constraint open_windows_pkey PRIMARY KEY (tx, window_start, event_type, gap_id),
  constraint open_windows_start_on_ten_seconds CHECK (((micros(window_start) % (10000000)::bigint) = 0))
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, vacuum_truncate=false);

create table product_categories (
  product_id text not null,
  category text not null,
  constraint product_categories_pkey PRIMARY KEY (product_id),
  constraint product_categories_are_not_empty CHECK ((category <> ''::text))
);

create table realtime_aggregates (
  size text not null,
  window_start timestamp with time zone not null,
  window_end timestamp with time zone not null,
  event_type text not null,
  event_count bigint not null,
  value_count bigint not null,
  value_sum double precision,
  value_mean double precision,
  value_min double precision,
  value_max double precision,
  value_stddev double precision,
  value_p50 double precision,
  value_p95 double precision,
  value_p99 double precision,
  distinct_users bigint not null,
  revenue numeric(20,2) not null,
  duration_mean double precision,
  late_events bigint not null,
  final boolean not null,
  revision integer,
  state bytea storage external,
  constraint realtime_aggregates_pkey PRIMARY KEY (size, window_start, event_type),
  constraint realtime_aggregates_hold_events CHECK (((event_count > 0) AND ((value_count >= 0) AND (value_count <= event_count)))),
  constraint realtime_aggregates_late_events_are_events CHECK (((late_events >= 0) AND (late_events <= event_count))),
  constraint realtime_aggregates_revise_when_final CHECK ((final = (revision IS NOT NULL))),
  constraint realtime_aggregates_size_is_known CHECK ((size = ANY (ARRAY['10s'::text, '1m'::text, '1h'::text, '1d'::text])))
) with (fillfactor=50);

create table segment_deltas (
  move_id bigint not null,
  size text not null,
  window_start timestamp with time zone not null,
  group text not null,
  event_type text not null,
  event_count bigint not null,
  distinct_users bigint not null,
  value_count bigint not null,
  value_sum numeric not null,
  revenue numeric(24,2) not null,
  constraint segment_deltas_pkey PRIMARY KEY (move_id, size, window_start, "group", event_type)
);

create table segment_moves (
  move_id bigint not null,
  by text not null,
  key text not null,
  to_group text not null,
  staged_until timestamp with time zone,
  in_force boolean not null default false,
  constraint segment_moves_are_one_a_key UNIQUE (by, key),
  constraint segment_moves_pkey PRIMARY KEY (move_id),
  constraint segment_moves_by_is_known CHECK ((by = ANY (ARRAY['segment'::text, 'category'::text])))
);

create table segment_windows (
  by text not null,
  size text not null,
  window_start timestamp with time zone not null,
  group text not null,
  event_type text not null,
  event_count bigint not null,
  distinct_users bigint not null,
  value_count bigint not null,
  value_sum numeric not null,
  revenue numeric(24,2) not null,
  constraint segment_windows_pkey PRIMARY KEY (by, size, window_start, "group", event_type),
  constraint segment_windows_are_not_negative CHECK (((event_count >= 0) AND (distinct_users >= 0) AND (value_count >= 0))),
  constraint segment_windows_by_is_known CHECK ((by = ANY (ARRAY['segment'::text, 'category'::text]))),
  constraint segment_windows_size_is_known CHECK ((size = ANY (ARRAY['1h'::text, '1d'::text])))
) with (fillfactor=70);

create table session_hours (
  hour timestamp with time zone not null,
  sessions bigint not null,
  with_purchase bigint not null,
  events bigint not null,
  duration_micros bigint not null,
  constraint session_hours_pkey PRIMARY KEY (hour),
  constraint session_hours_are_possible CHECK (((sessions >= 0) AND ((with_purchase >= 0) AND (with_purchase <= sessions)) AND (events >= sessions) AND (duration_micros >= 0))),
  constraint session_hours_are_whole CHECK (((micros(hour) % '3600000000'::bigint) = 0))
) with (fillfactor=50);

create table session_spread (
  size text not null,
  start timestamp with time zone not null,
  measure text not null,
  bin bigint not null,
  sessions bigint not null,
  constraint session_spread_pkey PRIMARY KEY (size, start, measure, bin),
  constraint session_spread_is_not_negative CHECK ((sessions >= 0)),
  constraint session_spread_measure_is_known CHECK ((measure = ANY (ARRAY['events'::text, 'duration'::text]))),
  constraint session_spread_size_is_known CHECK ((size = ANY (ARRAY['1h'::text, '1d'::text])))
) with (fillfactor=50);

create table settings (
  singleton boolean not null default true,
  state_retention interval,
  window_10s_retention interval,
  window_1m_retention interval,
  dead_letter_bytes_retention interval not null default '30 days'::interval,
  partition_weeks_ahead integer not null default 4,
  raw_retention interval,
  constraint settings_pkey PRIMARY KEY (singleton),
  constraint settings_have_one_row CHECK (singleton),
  constraint settings_weeks_ahead_are_few CHECK (((partition_weeks_ahead >= 1) AND (partition_weeks_ahead <= 52)))
);

create table stream_batches (
  tx bigint not null default (((pg_current_xact_id())::text)::bigint + 0),
  gap_id bigint not null,
  week date not null,
  topic text not null,
  partition integer not null,
  batch_number bigint not null,
  first_offset bigint not null,
  last_offset bigint not null,
  rows integer not null,
  least_time timestamp with time zone not null,
  greatest_time timestamp with time zone not null,
  constraint stream_batches_pkey PRIMARY KEY (tx, gap_id, week),
  constraint stream_batches_hold_rows CHECK (((rows > 0) AND (least_time <= greatest_time)))
);

create table stream_ends (
  topic text not null,
  partition integer not null,
  begin_offset bigint not null,
  end_offset bigint not null,
  read_at timestamp with time zone not null,
  constraint stream_ends_pkey PRIMARY KEY (topic, partition)
) with (fillfactor=50);

create table stream_events (
  event_id uuid not null,
  event_time timestamp with time zone not null,
  event_type text not null,
  user_id text not null,
  session_id text,
  value double precision,
  amount_cents bigint,
  duration double precision,
  category text,
  product_id text,
  region text,
  data jsonb,
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  record_time timestamp with time zone not null,
  late_class smallint not null,
  tx bigint not null default (((pg_current_xact_id())::text)::bigint + 0),
  constraint stream_events_pkey PRIMARY KEY (event_id, event_time),
  constraint stream_events_late_class_is_known CHECK (((late_class >= 0) AND (late_class <= 4)))
) partition by RANGE (event_time);

create table stream_failures (
  topic text not null,
  partition integer not null,
  first_offset bigint not null,
  failures integer not null,
  code text not null,
  failed_at timestamp with time zone not null default clock_timestamp(),
  constraint stream_failures_pkey PRIMARY KEY (topic, partition),
  constraint stream_failures_are_counted_from_one CHECK ((failures > 0))
) with (fillfactor=50);

create table stream_gaps (
  gap_id bigint generated always as identity not null,
  topic text not null,
  partition integer not null,
  from_offset bigint not null,
  to_offset bigint not null,
  next_offset bigint not null,
  first_watermark timestamp with time zone,
  watermark timestamp with time zone,
  lost bigint not null default 0,
  empty bigint not null default 0,
  found_at timestamp with time zone not null default clock_timestamp(),
  closed_at timestamp with time zone,
  constraint stream_gaps_pkey PRIMARY KEY (gap_id),
  constraint stream_gaps_are_filled_in_order CHECK (((next_offset >= from_offset) AND (next_offset <= to_offset))),
  constraint stream_gaps_close_when_covered CHECK (((closed_at IS NULL) OR (next_offset = to_offset))),
  constraint stream_gaps_have_records CHECK ((from_offset < to_offset))
);

create table stream_progress (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  watermark timestamp with time zone,
  batches bigint not null default 0,
  events bigint not null default 0,
  duplicates bigint not null default 0,
  dead_letters bigint not null default 0,
  late_1m bigint not null default 0,
  late_1h bigint not null default 0,
  late_1d bigint not null default 0,
  late_older bigint not null default 0,
  committed_at timestamp with time zone not null default clock_timestamp(),
  erased bigint not null default 0,
  constraint stream_progress_pkey PRIMARY KEY (topic, partition),
  constraint stream_progress_offset_is_not_negative CHECK ((next_offset >= 0))
) with (fillfactor=50);

create table user_segments (
  user_id text not null,
  segment text not null,
  constraint user_segments_pkey PRIMARY KEY (user_id),
  constraint user_segments_are_not_empty CHECK ((segment <> ''::text))
);

CREATE INDEX audit_runs_by_time_idx ON public.audit_runs USING btree (started_at);
CREATE INDEX dead_letters_by_age_idx ON public.dead_letters USING btree (created_at, dead_letter_id);
CREATE INDEX dim_products_by_tx_idx ON public.dim_products USING btree (tx);
CREATE INDEX dim_users_by_tx_idx ON public.dim_users USING btree (tx);
CREATE INDEX erased_users_by_time_idx ON public.erased_users USING btree (erased_at);
CREATE UNIQUE INDEX erasures_one_at_a_time_idx ON public.erasures USING btree (hash) WHERE (state <> 'done'::text);
CREATE UNIQUE INDEX joins_answer_by_one_version_idx ON public.joins USING btree (name) WHERE (state = 'active'::text);
CREATE UNIQUE INDEX joins_fill_one_version_idx ON public.joins USING btree (name) WHERE (state = 'filling'::text);
CREATE INDEX kept_sessions_by_start_idx ON public.kept_sessions USING btree (started_at, user_id);
CREATE INDEX open_windows_by_start_idx ON public.open_windows USING btree (window_start);
CREATE INDEX realtime_aggregates_by_type_idx ON public.realtime_aggregates USING btree (size, event_type, window_start);
CREATE INDEX realtime_aggregates_unfinished_idx ON public.realtime_aggregates USING btree (window_end) WHERE (NOT final);
CREATE INDEX stream_batches_by_week_idx ON public.stream_batches USING brin (week) WITH (autosummarize='on');
CREATE INDEX stream_events_by_product_idx ON ONLY public.stream_events USING btree (product_id, event_time) WHERE (product_id IS NOT NULL);
CREATE INDEX stream_events_by_time_and_tx_idx ON ONLY public.stream_events USING brin (event_time, tx) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX stream_events_by_type_idx ON ONLY public.stream_events USING btree (event_type, event_time, event_id);
CREATE INDEX stream_events_by_user_idx ON ONLY public.stream_events USING btree (user_id, event_time) INCLUDE (category);
CREATE INDEX stream_gaps_open_idx ON public.stream_gaps USING btree (topic, partition) WHERE (closed_at IS NULL);

create view realtime_user_profiles with (security_invoker=true) as
 SELECT user_id,
    max(ended_at) AS last_active,
    (sum(event_count))::bigint AS total_events,
    count(*) AS sessions,
    ((avg(elapsed_micros(started_at, ended_at)) / (1000000)::numeric))::double precision AS mean_session_duration_seconds,
    ARRAY( SELECT stream_events.category
           FROM stream_events
          WHERE ((stream_events.user_id = kept_sessions.user_id) AND (stream_events.category IS NOT NULL))
          GROUP BY stream_events.category
          ORDER BY (count(*)) DESC, (stream_events.category COLLATE "C")
         LIMIT 10) AS favourite_categories,
    NULL::double precision AS purchase_probability
   FROM kept_sessions
  GROUP BY user_id;

create view sessions with (security_invoker=true) as
 SELECT session_id(user_id, started_at) AS session_id,
    user_id,
    started_at,
    ended_at,
    event_count,
    ((elapsed_micros(started_at, ended_at))::double precision / (1000000.0)::double precision) AS duration_seconds,
    double_or_null(value_sum) AS value_sum,
    (((revenue_cents)::numeric / 100.0))::numeric(20,2) AS revenue,
    (purchases > 0) AS purchased,
    COALESCE((( SELECT clock.watermark
           FROM clock) <= (ended_at + '00:30:00'::interval)), true) AS open
   FROM kept_sessions;

create view v_realtime_kpi with (security_invoker=true) as
 SELECT minute.start AS "from",
    (minute.start + '00:01:00'::interval) AS "to",
    count(stream_events.event_id) AS events,
    count(DISTINCT stream_events.user_id) AS unique_users,
    ((COALESCE(sum(stream_events.amount_cents) FILTER (WHERE (stream_events.event_type = 'purchase'::text)), (0)::numeric) / 100.0))::numeric(20,2) AS revenue,
    count(*) FILTER (WHERE (stream_events.event_type = 'purchase'::text)) AS purchases,
    double_or_null(avg((stream_events.duration)::numeric) FILTER (WHERE (stream_events.event_type = 'page_view'::text))) AS mean_session_duration
   FROM (( SELECT (date_trunc('minute'::text, now()) - '00:01:00'::interval) AS start) minute
     LEFT JOIN stream_events ON (((stream_events.event_time >= minute.start) AND (stream_events.event_time < (minute.start + '00:01:00'::interval)))))
  GROUP BY minute.start;

create view v_realtime_windows with (security_invoker=true) as
 WITH open_keys AS (
         SELECT DISTINCT open_windows.window_start,
            open_windows.event_type
           FROM open_windows
        ), finished AS (
         SELECT realtime_aggregates.window_start,
            realtime_aggregates.window_end,
            realtime_aggregates.event_type,
            realtime_aggregates.event_count,
            realtime_aggregates.value_count,
            realtime_aggregates.value_sum,
            realtime_aggregates.value_mean,
            realtime_aggregates.value_min,
            realtime_aggregates.value_max,
            realtime_aggregates.value_stddev,
            realtime_aggregates.value_p50,
            realtime_aggregates.value_p95,
            realtime_aggregates.value_p99,
            realtime_aggregates.distinct_users,
            realtime_aggregates.revenue,
            realtime_aggregates.duration_mean,
            realtime_aggregates.final,
            realtime_aggregates.revision,
            realtime_aggregates.late_events
           FROM realtime_aggregates
          WHERE ((realtime_aggregates.size = '10s'::text) AND (NOT (EXISTS ( SELECT
                   FROM open_keys
                  WHERE ((open_keys.window_start = realtime_aggregates.window_start) AND (open_keys.event_type = realtime_aggregates.event_type))))))
        ), open AS (
         SELECT open_keys.window_start,
            (open_keys.window_start + '00:00:10'::interval) AS window_end,
            open_keys.event_type,
            raw.event_count,
            raw.value_count,
            raw.value_sum,
            raw.value_mean,
            raw.value_min,
            raw.value_max,
            raw.value_stddev,
            raw.value_p50,
            raw.value_p95,
            raw.value_p99,
            raw.distinct_users,
            raw.revenue,
            raw.duration_mean,
            raw.late,
            COALESCE((kept.final OR (clock.watermark >= (open_keys.window_start + '00:00:10'::interval))), false) AS final,
                CASE
                    WHEN kept.final THEN (kept.revision + 1)
                    WHEN (clock.watermark >= (open_keys.window_start + '00:00:10'::interval)) THEN 0
                    ELSE NULL::integer
                END AS revision
           FROM (((open_keys
             CROSS JOIN clock)
             LEFT JOIN realtime_aggregates kept ON (((kept.size = '10s'::text) AND (kept.window_start = open_keys.window_start) AND (kept.event_type = open_keys.event_type))))
             CROSS JOIN LATERAL ( SELECT count(*) AS event_count,
                    count(stream_events.value) AS value_count,
                    double_or_null(sum((stream_events.value)::numeric)) AS value_sum,
                    double_or_null(avg((stream_events.value)::numeric)) AS value_mean,
                    min(stream_events.value) AS value_min,
                    max(stream_events.value) AS value_max,
                    double_or_null(stddev_samp((stream_events.value)::numeric)) AS value_stddev,
                    (array_agg(stream_events.value ORDER BY stream_events.value) FILTER (WHERE (stream_events.value IS NOT NULL)))[(1 + (floor((0.5 * ((count(stream_events.value) - 1))::numeric)))::integer)] AS value_p50,
                    (array_agg(stream_events.value ORDER BY stream_events.value) FILTER (WHERE (stream_events.value IS NOT NULL)))[(1 + (floor((0.95 * ((count(stream_events.value) - 1))::numeric)))::integer)] AS value_p95,
                    (array_agg(stream_events.value ORDER BY stream_events.value) FILTER (WHERE (stream_events.value IS NOT NULL)))[(1 + (floor((0.99 * ((count(stream_events.value) - 1))::numeric)))::integer)] AS value_p99,
                    count(DISTINCT stream_events.user_id) AS distinct_users,
                    ((COALESCE(sum(stream_events.amount_cents), (0)::numeric))::numeric(20,2) / (100)::numeric) AS revenue,
                    double_or_null(avg((stream_events.duration)::numeric)) AS duration_mean,
                    count(*) FILTER (WHERE (stream_events.late_class > 0)) AS late
                   FROM stream_events
                  WHERE ((stream_events.event_time >= open_keys.window_start) AND (stream_events.event_time < (open_keys.window_start + '00:00:10'::interval)) AND (
                        CASE
                            WHEN (EXISTS ( SELECT
                               FROM event_types known
                              WHERE (known.event_type = stream_events.event_type))) THEN stream_events.event_type
                            ELSE 'other'::text
                        END = open_keys.event_type))) raw)
        )
 SELECT finished.window_start,
    finished.window_end,
    finished.event_type,
    finished.event_count,
    finished.value_count,
    finished.value_sum,
    finished.value_mean,
    finished.value_min,
    finished.value_max,
    finished.value_stddev,
    finished.value_p50,
    finished.value_p95,
    finished.value_p99,
    finished.distinct_users,
    finished.revenue,
    finished.duration_mean,
    finished.final,
    finished.revision,
    finished.late_events
   FROM finished
UNION ALL
 SELECT open.window_start,
    open.window_end,
    open.event_type,
    open.event_count,
    open.value_count,
    open.value_sum,
    open.value_mean,
    open.value_min,
    open.value_max,
    open.value_stddev,
    open.value_p50,
    open.value_p95,
    open.value_p99,
    open.distinct_users,
    (open.revenue)::numeric(20,2) AS revenue,
    open.duration_mean,
    open.final,
    open.revision,
    open.late AS late_events
   FROM open;

CREATE OR REPLACE FUNCTION public.current_epoch()
 RETURNS integer
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (SELECT max(epochs.epoch) AS max FROM epochs);

CREATE OR REPLACE FUNCTION public.double_or_null(exact numeric)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (abs(exact) <= '179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric) THEN (exact)::double precision ELSE NULL::double precision END;

CREATE OR REPLACE FUNCTION public.drop_event_partition(week date, followers text[])
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '500ms'
AS $function$
declare
  name text := 'stream_events_' || to_char(week, 'YYYYMMDD');
begin
  if (week + 7)::timestamp at time zone 'UTC' > (select raw_from from clock) then
    raise exception 'raw events of the week of % are not past their retention', week;
  end if;
  execute format('lock table %I in access exclusive mode', name);
  if exists (
    select
    from unnest(followers) as follower (name)
    join stream_batches batch
      on batch.week = drop_event_partition.week
     and batch.tx >= coalesce((select tx_cursor from leases where leases.name = follower.name), 0)
  ) or exists (
    select
    from open_windows
    where window_start < (drop_event_partition.week + 7)::timestamp at time zone 'UTC'
  ) then
    return 'wanted';
  end if;
  execute format('drop table %I', name);
  return 'dropped';
exception
  when lock_not_available then
    return 'busy';
end
$function$;

CREATE OR REPLACE FUNCTION public.duration_bin(micros bigint)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((((get_byte(float8send((micros)::double precision), 0) << 16) | (get_byte(float8send((micros)::double precision), 1) << 8)) | get_byte(float8send((micros)::double precision), 2)) >> 6);

CREATE OR REPLACE FUNCTION public.elapsed_micros(since timestamp with time zone, until timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (round((date_part('epoch'::text, (until - since)) * (1000000)::double precision)))::bigint;

CREATE OR REPLACE FUNCTION public.ensure_epoch()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  here bigint := server_identity();
  known record;
begin
  select e.epoch, e.system_identifier = here and
         (select coalesce(max(tx_cursor), 0) from leases)
           <= e.epoch * 17592186044416 + pg_snapshot_xmax(pg_current_snapshot())::text::bigint as holds
    into known
    from epochs e
    order by e.epoch desc
    limit 1;
  if known.holds then
    return known.epoch;
  end if;

  perform pg_advisory_xact_lock(hashtextextended('headrace.epoch', 0));
  if exists (select from epochs where epoch > known.epoch) then
    return (select max(epoch) from epochs);
  end if;
  insert into epochs (epoch, system_identifier)
  values (known.epoch + 1, here);
  perform set_tx_defaults(known.epoch + 1);
  return -(known.epoch + 1);
end
$function$;

CREATE OR REPLACE FUNCTION public.ensure_event_partitions(weeks date[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  week date;
  name text;
begin
  foreach week in array weeks loop
    if extract(isodow from week) <> 1 then
      raise exception '% is no Monday', week;
    end if;
    name := 'stream_events_' || to_char(week, 'YYYYMMDD');
    continue when to_regclass(name) is not null;
    perform pg_advisory_xact_lock(hashtextextended('headrace.partitions', 0));
    -- Not to_regclass: it remembers that there was none, and an advisory lock does not make it forget.
    continue when exists (
      select
      from pg_class
      where relname = name
        and relnamespace = 'public'::regnamespace
    );
    execute format('create table %I (like stream_events including all)', name);
    execute format(
      'alter table stream_events attach partition %I for values from (%L) to (%L)',
      name,
      to_char(week, 'YYYY-MM-DD') || ' 00:00:00+00',
      to_char(week + 7, 'YYYY-MM-DD') || ' 00:00:00+00');
  end loop;
end
$function$;

CREATE OR REPLACE FUNCTION public.keep_event_statistics(weeks date[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  week_partition regclass;
  blocks bigint;
  brin_index regclass;
begin
  for week_partition in
    select to_regclass('stream_events_' || to_char(week, 'YYYYMMDD'))
    from unnest(weeks) as given (week)
  loop
    blocks := pg_relation_size(week_partition) / current_setting('block_size')::integer / 32 * 32;
    continue when week_partition is null or blocks = 0;
    begin
      execute format('lock table %s in share update exclusive mode nowait', week_partition);
    exception
      when lock_not_available then
        continue;
    end;
    select indexrelid::regclass
    into strict brin_index
    from pg_index
    join pg_class on pg_class.oid = indexrelid
    join pg_am on pg_am.oid = relam
    where indrelid = week_partition
      and amname = 'brin';
    while blocks > 0 and brin_summarize_range(brin_index, blocks - 32) > 0 loop
      blocks := blocks - 32;
    end loop;
    if (select reltuples < 0 from pg_class where oid = week_partition) then
      execute format('analyze %s', week_partition);
    end if;
  end loop;
end
$function$;

CREATE OR REPLACE FUNCTION public.micros(at timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((EXTRACT(epoch FROM at) * (1000000)::numeric))::bigint;

CREATE OR REPLACE FUNCTION public.overall_watermark()
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
BEGIN ATOMIC
 WITH partitions AS (
          SELECT progress.watermark,
             (progress.topic IS NULL) AS is_new,
             COALESCE((ends.read_at > (clock_timestamp() - '00:00:30'::interval)), false) AS is_known,
                 CASE
                     WHEN (progress.topic IS NULL) THEN (ends.end_offset > ends.begin_offset)
                     WHEN (ends.end_offset >= progress.next_offset) THEN (ends.end_offset > progress.next_offset)
                     ELSE (ends.end_offset > ends.begin_offset)
                 END AS has_unread,
             COALESCE(((progress.committed_at < (clock_timestamp() - '00:01:00'::interval)) AND (ends.read_at > progress.committed_at)), true) AS is_quiet
            FROM (stream_progress progress
              FULL JOIN stream_ends ends USING (topic, partition))
         ), judged AS (
          SELECT partitions.watermark,
             (partitions.is_known AND partitions.is_quiet AND (NOT partitions.has_unread)) AS is_idle
            FROM partitions
         )
  SELECT
         CASE
             WHEN (count(*) = 0) THEN NULL::timestamp with time zone
             WHEN bool_and(judged.is_idle) THEN (clock_timestamp() - '00:01:05'::interval)
             WHEN bool_or(((NOT judged.is_idle) AND (judged.watermark IS NULL))) THEN NULL::timestamp with time zone
             ELSE min(judged.watermark) FILTER (WHERE (NOT judged.is_idle))
         END AS min
    FROM judged;
END;

CREATE OR REPLACE FUNCTION public.register_event_types(names text[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform pg_advisory_xact_lock(hashtextextended('headrace.event_types', 0));
  insert into event_types (event_type)
  select name
  from unnest(names) with ordinality as given (name, place)
  where name <> 'other'
    and not exists (select from event_types where event_type = name)
  order by place
  limit greatest(0, 1000 - (select count(*) from event_types))
  on conflict do nothing;

  return query
    select event_type
    from event_types
    where event_type = any (names);
end
$function$;

CREATE OR REPLACE FUNCTION public.server_identity()
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (select system_identifier from pg_control_system());
exception
  when insufficient_privilege or feature_not_supported or object_not_in_prerequisite_state then
    return (select oid from pg_database where datname = current_database());
end
$function$;

CREATE OR REPLACE FUNCTION public.session_id(user_id text, started_at timestamp with time zone)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (md5(((user_id || ' '::text) || micros(started_at))))::uuid;

CREATE OR REPLACE FUNCTION public.set_tx_defaults(epoch integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  owning text;
begin
  for owning in
    select attrelid::regclass::text
      from pg_attribute
      join pg_class on pg_class.oid = attrelid
      where attname = 'tx'
        and relkind in ('r', 'p')
        and not relispartition
        and relnamespace = 'public'::regnamespace
        and atthasdef
      order by 1
  loop
    execute format(
      'alter table %s alter column tx set default (pg_current_xact_id()::text::bigint + %s)',
      owning, epoch * 17592186044416);
  end loop;
end
$function$;

CREATE OR REPLACE FUNCTION public.tx_horizon()
 RETURNS bigint
 LANGUAGE sql
 STABLE
RETURN ((current_epoch() * '17592186044416'::bigint) + ((pg_snapshot_xmin(pg_current_snapshot()))::text)::bigint);

CREATE OR REPLACE FUNCTION public.xmin_age_seconds()
 RETURNS double precision
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(extract(epoch from clock_timestamp() - min(began)), 0)
  from (
    select xact_start as began
    from pg_stat_activity
    where backend_xid is not null
      and pid <> pg_backend_pid()
    union all
    select prepared
    from pg_prepared_xacts
  ) as writers
$function$;

comment on table active_days is 'How many users are active on a day and were so last on previous_day (-infinity: never before). The users of any whole days [from, to) are those whose previous day lies before from.';
comment on table active_users is 'How many users have an event in a minute or hour. Days and longer are told by active_days.';
comment on column audit_runs.checked is 'What was compared: [{ what, rows, differences }].';
comment on column audit_runs.differences is 'The first of them: [{ what, key, expected, actual }].';
comment on column audit_runs.at_offsets is 'The next offset of each partition in the audit''s snapshot.';
comment on column clock.watermark is 'Every event older than this has been seen, as far as can be told; null until it is known. Only rises.';
comment on column clock.raw_from is 'Raw events older than this are gone or going; nothing older than it changes again.';
comment on table dead_letters is 'Records that can never be read, or were given up, kept with the reason. bytes is null for a tombstone and after 30 days.';
comment on column dim_products.tx is 'Of the last change: who writes sets it to its default again, or the change is not noticed.';
comment on column dim_users.tx is 'Of the last change: who writes sets it to its default again, or the change is not noticed.';
comment on table epochs is 'Transaction ids start again after a restore; each start is one epoch. tx = epoch * 2^44 + transaction id, below 2^53.';
comment on column erased_users.hash is 'HMAC-SHA-256 of the user id by erasure_key.';
comment on column erased_users.erased_at is 'Records of the user with a Kafka timestamp up to this are not taken in.';
comment on table erasure_key is 'Random, made once for this database: a list of users cannot be tried against erased_users without it.';
comment on column erasures.settle_tx is 'Every transaction that may have taken the user''s records in without knowing of the erasure has a smaller id; null until it is known.';
comment on column erasures.next_time is 'Raw events before this are anonymous already.';
comment on column erasures.events is 'Raw events made anonymous.';
comment on table event_types is 'The types that have windows of their own: the first 1,000. All others are counted under "other".';
comment on table join_counts is 'Pairs by the minute and hour of their left event; not_listed are those beyond 1,000 of one left event.';
comment on table join_lefts is 'Left events that have at least one right event in join_rights: same join and user, 0 <= right_time - left_time <= within.';
comment on table joins is 'Declared interval joins, a row for each version. The active one answers, the filling one will, a retired one is being deleted.';
comment on column joins.filled_from is 'Left events from here on are finished; filling goes from the newest back to the oldest.';
comment on column joins.fill_start is 'The oldest left event when filling began.';
comment on column joins.fill_end is 'The newest one.';
comment on table kept_sessions is 'One row per gap session as far as the follower has come; the view sessions is what to read.';
comment on column kept_sessions.purchases is 'Events of type purchase.';
comment on column kept_sessions.revenue_cents is 'The amount of its purchases, in cents.';
comment on table leases is 'One runner at a time. A holder''s transaction first updates its row where fence = its own; a takeover raises the fence.';
comment on column leases.waiting is 'Who waits to take over from the present holder, which then ends by itself.';
comment on table open_windows is 'A queue of window states, one row per batch, window and type; appended by ingest, taken by the finisher.';
comment on view realtime_user_profiles is 'One row per user with a session, as far as the follower finish-sessions has come; the report adds what came since.';
comment on column segment_moves.staged_until is 'Events older than this are in its deltas; null: it waits for its turn.';
comment on column segment_moves.in_force is 'The key has its new group, and readers add the deltas until they are folded into segment_windows.';
comment on column segment_windows.group is 'Empty: no dimension row, no segment in it, or an event without a product.';
comment on column segment_windows.event_type is 'A type that has windows of its own, else "other".';
comment on table session_hours is 'Sessions by the hour that they start in.';
comment on table session_spread is 'How many sessions that start in an hour or day have so many events, or a duration in that bin (duration_bin).';
comment on view sessions is 'Gap sessions as far as the follower finish-sessions has come, a second or two behind; the report adds what came since.';
comment on table settings is 'Null means: kept for ever. state_retention is that of the mergeable states of 10 s and 1 min windows.';
comment on column settings.raw_retention is 'How long raw events are kept, in whole weeks at least; null: for ever. Results that are finished stay.';
comment on table stream_batches is 'Which stretches of time hold the new rows of a transaction: one row per batch and week touched.';
comment on column stream_batches.gap_id is 'The gap that these records filled (stream_gaps), 0 for records that came in order.';
comment on column stream_batches.batch_number is 'Counts a partition''s transactions in the order of their commit.';
comment on table stream_ends is 'Where each partition''s log begins and ends in Kafka, as last read.';
comment on column stream_events.amount_cents is 'Money in cents.';
comment on column stream_events.duration is 'Seconds.';
comment on column stream_events.record_time is 'The record''s Kafka timestamp; where producers set it, at most the database''s clock at that time.';
comment on table stream_failures is 'How often in a row a partition''s batch from first_offset failed, where nobody but the functions counts: after 20 its records are tried alone. An unavailable database does not count.';
comment on column stream_failures.code is 'Of the last failure: an SQLSTATE, or the name of an error.';
comment on table stream_gaps is 'Offsets that were skipped: from_offset up to, not with, to_offset. A cron reads them again from Kafka.';
comment on column stream_gaps.first_watermark is 'The partition''s watermark when the gap was found; lateness of its records starts from there.';
comment on column stream_gaps.lost is 'Offsets that Kafka no longer had.';
comment on column stream_gaps.empty is 'Offsets that hold no record: transaction markers, compaction.';
comment on column stream_progress.duplicates is 'Records at new positions whose event was stored already; redeliveries are none.';
comment on column stream_progress.erased is 'Records at new positions that were left out because their user was erased after them.';

grant delete, insert, select, update on active_days to headrace_worker;
grant select on active_days to headrace_orders, headrace_reports;
grant delete, insert, select, update on active_users to headrace_worker;
grant select on active_users to headrace_orders, headrace_reports;
grant delete, insert, select on audit_runs to headrace_worker;
grant select on audit_runs to headrace_orders, headrace_reports;
grant select on clock to headrace_orders, headrace_reports;
grant select, update on clock to headrace_worker;
grant insert, select, update on dead_letters to headrace_worker;
grant select on dead_letters to headrace_orders, headrace_reports;
grant delete, insert, select, update on dim_products to headrace_worker;
grant select on dim_products to headrace_orders, headrace_reports;
grant delete, insert, select, update on dim_users to headrace_worker;
grant select on dim_users to headrace_orders, headrace_reports;
grant select on epochs to headrace_orders, headrace_reports, headrace_worker;
grant insert, select, update on erased_users to headrace_worker;
grant select on erasure_key to headrace_worker;
grant insert, select, update on erasures to headrace_worker;
grant select on event_types to headrace_orders, headrace_reports, headrace_worker;
grant execute on function current_epoch() to public;
grant execute on function double_or_null(numeric) to public;
grant execute on function drop_event_partition(date,text[]) to headrace_worker;
grant execute on function duration_bin(bigint) to public;
grant execute on function elapsed_micros(timestamp with time zone,timestamp with time zone) to public;
grant execute on function ensure_epoch() to headrace_orders, headrace_worker;
grant execute on function ensure_event_partitions(date[]) to headrace_worker;
grant execute on function keep_event_statistics(date[]) to headrace_worker;
grant execute on function micros(timestamp with time zone) to public;
grant execute on function overall_watermark() to public;
grant execute on function register_event_types(text[]) to headrace_worker;
grant execute on function server_identity() to public;
grant execute on function session_id(text,timestamp with time zone) to public;
grant execute on function tx_horizon() to public;
grant execute on function xmin_age_seconds() to headrace_orders, headrace_reports, headrace_worker;
grant delete, insert, select, update on join_counts to headrace_worker;
grant select on join_counts to headrace_orders, headrace_reports;
grant delete, insert, select, update on join_lefts to headrace_worker;
grant select on join_lefts to headrace_orders, headrace_reports;
grant delete, insert, select, update on join_rights to headrace_worker;
grant select on join_rights to headrace_orders, headrace_reports;
grant delete, insert, select, update on joins to headrace_worker;
grant select on joins to headrace_orders, headrace_reports;
grant delete, insert, select, update on kept_sessions to headrace_worker;
grant select on kept_sessions to headrace_orders, headrace_reports;
grant insert, select, update on leases to headrace_worker;
grant select on leases to headrace_orders, headrace_reports;
grant delete, insert, select on open_windows to headrace_worker;
grant select on open_windows to headrace_orders, headrace_reports;
grant delete, insert, select, update on product_categories to headrace_worker;
grant select on product_categories to headrace_orders, headrace_reports;
grant delete, insert, select, update on realtime_aggregates to headrace_worker;
grant select on realtime_aggregates to headrace_orders, headrace_reports;
grant select on realtime_user_profiles to headrace_orders, headrace_reports, headrace_worker;
grant delete, insert, select, update on segment_deltas to headrace_worker;
grant select on segment_deltas to headrace_orders, headrace_reports;
grant delete, insert, select, update on segment_moves to headrace_worker;
grant select on segment_moves to headrace_orders, headrace_reports;
grant delete, insert, select, update on segment_windows to headrace_worker;
grant select on segment_windows to headrace_orders, headrace_reports;
grant delete, insert, select, update on session_hours to headrace_worker;
grant select on session_hours to headrace_orders, headrace_reports;
grant delete, insert, select, update on session_spread to headrace_worker;
grant select on session_spread to headrace_orders, headrace_reports;
grant select on sessions to headrace_orders, headrace_reports, headrace_worker;
grant select on settings to headrace_orders, headrace_reports, headrace_worker;
grant delete, insert, select on stream_batches to headrace_worker;
grant select on stream_batches to headrace_orders, headrace_reports;
grant insert, select, update on stream_ends to headrace_worker;
grant select on stream_ends to headrace_orders, headrace_reports;
grant insert, select on stream_events to headrace_worker;
grant select on stream_events to headrace_orders, headrace_reports;
grant delete, insert, select, update on stream_failures to headrace_worker;
grant select on stream_failures to headrace_orders, headrace_reports;
grant insert, select, update on stream_gaps to headrace_worker;
grant select on stream_gaps to headrace_orders, headrace_reports;
grant insert, select, update on stream_progress to headrace_worker;
grant select on stream_progress to headrace_orders, headrace_reports;
grant delete, insert, select, update on user_segments to headrace_worker;
grant select on user_segments to headrace_orders, headrace_reports;
grant select on v_realtime_kpi to headrace_orders, headrace_reports, headrace_worker;
grant select on v_realtime_windows to headrace_orders, headrace_reports, headrace_worker;
