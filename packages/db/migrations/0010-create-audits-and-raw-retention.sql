-- Audits that were run, with what they found; and raw events that leave when they are old.
--
-- Why        a difference must be seen by who was not there; disks are finite.
-- Invariant  raw_from moves in whole weeks, first and in a transaction of its own: ingest refuses what
--            is older from then on, and no follower has events left there when the partition goes.
-- Size       48 audits a day, kept for 90 days; differences with their rows, 20 of each result at most.
-- Locks      writers of stream_batches wait while its index is built; drop_event_partition needs
--            stream_events for itself for a moment, and gives up soon.

create table audit_runs (
  run_id       bigint      generated always as identity,
  started_at   timestamptz not null,
  ended_at     timestamptz not null,
  range_from   timestamptz not null,
  range_to     timestamptz not null,
  ok           boolean     not null,
  checked      jsonb       not null,
  differences  jsonb       not null,
  at_offsets   jsonb       not null,

  constraint audit_runs_pkey primary key (run_id)
);

create index audit_runs_by_time_idx on audit_runs (started_at);

comment on column audit_runs.checked is 'What was compared: [{ what, rows, differences }].';
comment on column audit_runs.differences is 'The first of them: [{ what, key, expected, actual }].';
comment on column audit_runs.at_offsets is 'The next offset of each partition in the audit''s snapshot.';

alter table settings add column raw_retention interval;

comment on column settings.raw_retention is
  'How long raw events are kept, in whole weeks at least; null: for ever. Results that are finished stay.';

update settings
set raw_retention = '400 days';

-- Batches come in the order of their weeks but for late ones: a few blocks tell which are old.
create index stream_batches_by_week_idx on stream_batches using brin (week) with (autosummarize = on);

-- Drops the partition of a week that raw_from has passed: `dropped`; `busy` when readers were in the way,
-- because everybody else would wait behind it; `wanted` while a follower or the finisher has events of
-- it to handle. Looked at under the lock: who read raw_from before it moved has committed or finds no
-- partition.
create function drop_event_partition(week date, followers text[]) returns text
  language plpgsql
  security definer
  set search_path = public, pg_temp
  set lock_timeout = '500ms'
as $$
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
$$;

revoke all on function drop_event_partition(date, text[]) from public;
grant execute on function drop_event_partition(date, text[]) to headrace_worker;
grant select on audit_runs to headrace_worker, headrace_orders, headrace_reports;
grant insert, delete on audit_runs to headrace_worker;
grant delete on stream_batches to headrace_worker;
