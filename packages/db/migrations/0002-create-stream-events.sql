-- Raw events by week, the types that have a window of their own, and the batches they came in.
--
-- Why        every result is made from these rows, and can be made again from them.
-- Invariant  an event is (event_id, event_time), stored once, its first content; tx is the
--            transaction that stored it, in the order of epochs; late_class tells how late it was
--            against its own partition's watermark (0 on time, 1 to 4: up to a minute, an hour, a
--            day, older).
-- Size       about 250 bytes an event with its indexes; one partition a week.
-- Locks      new objects only; safe while functions run.

create table stream_events (
  event_id       uuid             not null,
  event_time     timestamptz      not null,
  event_type     text             not null,
  user_id        text             not null,
  session_id     text,
  value          double precision,
  amount_cents   bigint,
  duration       double precision,
  category       text,
  product_id     text,
  region         text,
  data           jsonb,
  topic          text             not null,
  partition      integer          not null,
  record_offset  bigint           not null,
  record_time    timestamptz      not null,
  late_class     smallint         not null,
  tx             bigint           not null default (pg_current_xact_id()::text::bigint + 0),

  constraint stream_events_pkey primary key (event_id, event_time),
  constraint stream_events_late_class_is_known check (late_class between 0 and 4)
) partition by range (event_time);

comment on column stream_events.amount_cents is 'Money in cents.';
comment on column stream_events.duration is 'Seconds.';
comment on column stream_events.record_time is
  'The record''s Kafka timestamp; where producers set it, at most the database''s clock at that time.';

-- One user's events; the only index that serves a user. With the category, because a profile counts it
-- over all of the user's events, which lie in as many blocks as there are of them.
create index stream_events_by_user_idx on stream_events (user_id, event_time) include (category);

-- Append-only by time and by transaction, so that 64 kB stand for trees of 200 MB. Either serves alone.
create index stream_events_by_time_and_tx_idx on stream_events using brin (event_time, tx)
  with (pages_per_range = 32, autosummarize = on);

create table event_types (
  event_type     text        not null,
  registered_at  timestamptz not null default clock_timestamp(),

  constraint event_types_pkey primary key (event_type)
);

comment on table event_types is
  'The types that have windows of their own: the first 1,000. All others are counted under "other".';

-- Reports name these two: a flood of other types must not push them under "other".
insert into event_types (event_type)
values ('page_view'), ('purchase');

create table stream_batches (
  tx             bigint      not null default (pg_current_xact_id()::text::bigint + 0),
  gap_id         bigint      not null,
  week           date        not null,
  topic          text        not null,
  partition      integer     not null,
  batch_number   bigint      not null,
  first_offset   bigint      not null,
  last_offset    bigint      not null,
  rows           integer     not null,
  least_time     timestamptz not null,
  greatest_time  timestamptz not null,

  constraint stream_batches_pkey primary key (tx, gap_id, week),
  constraint stream_batches_hold_rows check (rows > 0 and least_time <= greatest_time)
);

comment on table stream_batches is
  'Which stretches of time hold the new rows of a transaction: one row per batch and week touched.';
comment on column stream_batches.gap_id is
  'The gap that these records filled (stream_gaps), 0 for records that came in order.';
comment on column stream_batches.batch_number is
  'Counts a partition''s transactions in the order of their commit.';

-- Names the week's partition by its Monday and makes it when it is missing. `partition of` would
-- wait for every reader of the parent; `like` and `attach` do not.
create function ensure_event_partitions(weeks date[]) returns void
  language plpgsql
  security definer
  set search_path = public, pg_temp
as $$
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
$$;

-- Does at once for these weeks (Mondays) what autovacuum does in its rounds: has their BRIN index sum up
-- the blocks that were filled since the last call, which every read by time or transaction goes
-- through as long as they are not; and analyses a week that never was, whose primary key the planner
-- takes for an index by time. It walks down from the newest whole range (32 blocks, as the index has
-- it) to the first one that is summed up. A week that is vacuumed just now is left to that, which does
-- it too and would be cancelled by who waits for it.
create function keep_event_statistics(weeks date[]) returns void
  language plpgsql
  security definer
  set search_path = public, pg_temp
as $$
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
$$;

-- Registers types that have not been met before, in the order given, until 1,000 are known, and
-- returns those of the given ones that are registered.
create function register_event_types(names text[]) returns setof text
  language plpgsql
  security definer
  set search_path = public, pg_temp
as $$
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
$$;

revoke all on function ensure_event_partitions(date[]) from public;
revoke all on function keep_event_statistics(date[]) from public;
revoke all on function register_event_types(text[]) from public;
grant execute on function ensure_event_partitions(date[]) to headrace_worker;
grant execute on function keep_event_statistics(date[]) to headrace_worker;
grant execute on function register_event_types(text[]) to headrace_worker;
grant select on stream_events, event_types, stream_batches to headrace_worker, headrace_orders, headrace_reports;
grant insert on stream_events, stream_batches to headrace_worker;
