-- Made by `npm run schema:dump` from a migrated database; not to be edited.

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

create table epochs (
  epoch integer not null,
  system_identifier bigint not null,
  raised_at timestamp with time zone not null default clock_timestamp(),
  constraint epochs_pkey PRIMARY KEY (epoch),
  constraint epochs_fit_beside_a_transaction_id CHECK (((epoch >= 0) AND (epoch <= 511)))
);

create table event_types (
  event_type text not null,
  registered_at timestamp with time zone not null default clock_timestamp(),
  constraint event_types_pkey PRIMARY KEY (event_type)
);

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

create table settings (
  singleton boolean not null default true,
  state_retention interval,
  window_10s_retention interval,
  window_1m_retention interval,
  dead_letter_bytes_retention interval not null default '30 days'::interval,
  partition_weeks_ahead integer not null default 4,
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
  constraint stream_progress_pkey PRIMARY KEY (topic, partition),
  constraint stream_progress_offset_is_not_negative CHECK ((next_offset >= 0))
) with (fillfactor=50);

CREATE INDEX dead_letters_by_age_idx ON public.dead_letters USING btree (created_at, dead_letter_id);
CREATE INDEX open_windows_by_start_idx ON public.open_windows USING btree (window_start);
CREATE INDEX realtime_aggregates_by_type_idx ON public.realtime_aggregates USING btree (size, event_type, window_start);
CREATE INDEX realtime_aggregates_unfinished_idx ON public.realtime_aggregates USING btree (window_end) WHERE (NOT final);
CREATE INDEX stream_events_by_product_idx ON ONLY public.stream_events USING btree (product_id, event_time) WHERE (product_id IS NOT NULL);
CREATE INDEX stream_events_by_time_idx ON ONLY public.stream_events USING brin (event_time) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX stream_events_by_tx_idx ON ONLY public.stream_events USING brin (tx) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX stream_events_by_type_idx ON ONLY public.stream_events USING btree (event_type, event_time, event_id);
CREATE INDEX stream_events_by_user_idx ON ONLY public.stream_events USING btree (user_id, event_time);
CREATE INDEX stream_gaps_open_idx ON public.stream_gaps USING btree (topic, partition) WHERE (closed_at IS NULL);

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

comment on column clock.watermark is 'Every event older than this has been seen, as far as can be told; null until it is known. Only rises.';
comment on column clock.raw_from is 'Raw events older than this are gone or going; nothing older than it changes again.';
comment on table dead_letters is 'Records that can never be read, or were given up, kept with the reason. bytes is null for a tombstone and after 30 days.';
comment on table epochs is 'Transaction ids start again after a restore; each start is one epoch. tx = epoch * 2^44 + transaction id, below 2^53.';
comment on table event_types is 'The types that have windows of their own: the first 1,000. All others are counted under "other".';
comment on table leases is 'One runner at a time. A holder''s transaction first updates its row where fence = its own; a takeover raises the fence.';
comment on column leases.waiting is 'Who waits to take over from the present holder, which then ends by itself.';
comment on table open_windows is 'A queue of window states, one row per batch, window and type; appended by ingest, taken by the finisher.';
comment on table settings is 'Null means: kept for ever. state_retention is that of the mergeable states of 10 s and 1 min windows.';
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

grant select on clock to headrace_orders, headrace_reports;
grant select, update on clock to headrace_worker;
grant insert, select, update on dead_letters to headrace_worker;
grant select on dead_letters to headrace_orders, headrace_reports;
grant select on epochs to headrace_orders, headrace_reports, headrace_worker;
grant select on event_types to headrace_orders, headrace_reports, headrace_worker;
grant execute on function current_epoch() to public;
grant execute on function double_or_null(numeric) to public;
grant execute on function ensure_epoch() to headrace_orders, headrace_worker;
grant execute on function ensure_event_partitions(date[]) to headrace_worker;
grant execute on function micros(timestamp with time zone) to public;
grant execute on function overall_watermark() to public;
grant execute on function register_event_types(text[]) to headrace_worker;
grant execute on function server_identity() to public;
grant execute on function tx_horizon() to public;
grant execute on function xmin_age_seconds() to headrace_orders, headrace_reports, headrace_worker;
grant insert, select, update on leases to headrace_worker;
grant select on leases to headrace_orders, headrace_reports;
grant delete, insert, select on open_windows to headrace_worker;
grant select on open_windows to headrace_orders, headrace_reports;
grant delete, insert, select, update on realtime_aggregates to headrace_worker;
grant select on realtime_aggregates to headrace_orders, headrace_reports;
grant select on settings to headrace_orders, headrace_reports, headrace_worker;
grant insert, select on stream_batches to headrace_worker;
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
grant select on v_realtime_kpi to headrace_orders, headrace_reports, headrace_worker;
grant select on v_realtime_windows to headrace_orders, headrace_reports, headrace_worker;
