-- How far each partition of each topic has been taken in, and what was left out.
--
-- Why        the row is locked by the transaction that stores a batch, so that redelivered and
--            zombie batches of one partition queue, and progress commits with its effect.
-- Invariant  watermark never goes back; counters only rise; next_offset falls only when a topic
--            was re-created and its log starts again.
-- Size       one row a partition, one more where its last batch failed; a gap is rare.
-- Locks      new objects only; safe while functions run.

create table stream_progress (
  topic         text        not null,
  partition     integer     not null,
  next_offset   bigint      not null,
  watermark     timestamptz,
  batches       bigint      not null default 0,
  events        bigint      not null default 0,
  duplicates    bigint      not null default 0,
  dead_letters  bigint      not null default 0,
  late_1m       bigint      not null default 0,
  late_1h       bigint      not null default 0,
  late_1d       bigint      not null default 0,
  late_older    bigint      not null default 0,
  committed_at  timestamptz not null default clock_timestamp(),

  constraint stream_progress_pkey primary key (topic, partition),
  constraint stream_progress_offset_is_not_negative check (next_offset >= 0)
) with (fillfactor = 50);

comment on column stream_progress.duplicates is
  'Records at new positions whose event was stored already; redeliveries are none.';

create table stream_ends (
  topic         text        not null,
  partition     integer     not null,
  begin_offset  bigint      not null,
  end_offset    bigint      not null,
  read_at       timestamptz not null,

  constraint stream_ends_pkey primary key (topic, partition)
) with (fillfactor = 50);

comment on table stream_ends is 'Where each partition''s log begins and ends in Kafka, as last read.';

create table stream_gaps (
  gap_id           bigint      not null generated always as identity,
  topic            text        not null,
  partition        integer     not null,
  from_offset      bigint      not null,
  to_offset        bigint      not null,
  next_offset      bigint      not null,
  first_watermark  timestamptz,
  watermark        timestamptz,
  lost             bigint      not null default 0,
  empty            bigint      not null default 0,
  found_at         timestamptz not null default clock_timestamp(),
  closed_at        timestamptz,

  constraint stream_gaps_pkey primary key (gap_id),
  constraint stream_gaps_have_records check (from_offset < to_offset),
  constraint stream_gaps_are_filled_in_order check (next_offset between from_offset and to_offset),
  constraint stream_gaps_close_when_covered check (closed_at is null or next_offset = to_offset)
);

comment on table stream_gaps is
  'Offsets that were skipped: from_offset up to, not with, to_offset. A cron reads them again from Kafka.';
comment on column stream_gaps.lost is 'Offsets that Kafka no longer had.';
comment on column stream_gaps.empty is 'Offsets that hold no record: transaction markers, compaction.';
comment on column stream_gaps.first_watermark is
  'The partition''s watermark when the gap was found; lateness of its records starts from there.';

create index stream_gaps_open_idx on stream_gaps (topic, partition)
  where closed_at is null;

create table stream_failures (
  topic         text        not null,
  partition     integer     not null,
  first_offset  bigint      not null,
  failures      integer     not null,
  code          text        not null,
  failed_at     timestamptz not null default clock_timestamp(),

  constraint stream_failures_pkey primary key (topic, partition),
  constraint stream_failures_are_counted_from_one check (failures > 0)
) with (fillfactor = 50);

comment on table stream_failures is
  'How often in a row a partition''s batch from first_offset failed, where nobody but the functions counts: after 20 its records are tried alone. An unavailable database does not count.';
comment on column stream_failures.code is 'Of the last failure: an SQLSTATE, or the name of an error.';

create table dead_letters (
  dead_letter_id  uuid        not null,
  topic           text        not null,
  partition       integer     not null,
  record_offset   bigint      not null,
  record_time     timestamptz not null,
  code            text        not null,
  path            text        not null,
  message         text        not null,
  key             bytea,
  bytes           bytea,
  created_at      timestamptz not null default clock_timestamp(),
  replayed_at     timestamptz,
  tx              bigint      not null default (pg_current_xact_id()::text::bigint + 0),

  constraint dead_letters_pkey primary key (dead_letter_id),
  constraint dead_letters_code_is_noun_and_reason check (code ~ '^[a-z_]+\.[a-z0-9_]+$')
);

comment on table dead_letters is
  'Records that can never be read, or were given up, kept with the reason. bytes is null for a tombstone and after 30 days.';

create index dead_letters_by_age_idx on dead_letters (created_at, dead_letter_id);

-- The least watermark over partitions that are not idle; null while it cannot be told.
--
-- Idle: nothing committed for 60 s, and end offsets read since then show nothing unread. Unknown
-- (ends not read for 30 s) is not idle. A partition with unread records and no row yet holds the
-- watermark where it is. With all partitions idle it is the database's clock less 65 s: an event
-- that is produced now may be 60 s old before its partition stops counting as idle.
create function overall_watermark() returns timestamptz
  language sql
  stable
begin atomic
  with partitions as (
    select
      progress.watermark,
      progress.topic is null as is_new,
      coalesce(ends.read_at > clock_timestamp() - interval '30 seconds', false) as is_known,
      case
        when progress.topic is null then ends.end_offset > ends.begin_offset
        when ends.end_offset >= progress.next_offset then ends.end_offset > progress.next_offset
        else ends.end_offset > ends.begin_offset
      end as has_unread,
      coalesce(
        progress.committed_at < clock_timestamp() - interval '60 seconds'
        and ends.read_at > progress.committed_at,
        true
      ) as is_quiet
    from stream_progress progress
    full join stream_ends ends using (topic, partition)
  ),
  judged as (
    select
      watermark,
      is_known and is_quiet and not has_unread as is_idle
    from partitions
  )
  select
    case
      when count(*) = 0 then null
      when bool_and(is_idle) then clock_timestamp() - interval '65 seconds'
      when bool_or(not is_idle and watermark is null) then null
      else min(watermark) filter (where not is_idle)
    end
  from judged;
end;

-- Seconds since the oldest transaction that holds the cut back began; 0 when none does.
create function xmin_age_seconds() returns double precision
  language sql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
as $$
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
$$;

revoke all on function xmin_age_seconds() from public;
grant execute on function xmin_age_seconds() to headrace_worker, headrace_orders, headrace_reports;
grant select on stream_progress, stream_ends, stream_gaps, stream_failures, dead_letters to headrace_worker, headrace_orders, headrace_reports;
grant insert, update on stream_progress, stream_ends, stream_gaps to headrace_worker;
grant insert, update, delete on stream_failures to headrace_worker;
grant insert, update on dead_letters to headrace_worker;
