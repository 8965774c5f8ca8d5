-- What the whole database agrees on: epochs of transaction ids, the overall watermark, settings, leases.
--
-- Why        followers compare transaction ids with stored cursors, results compare windows with one
--            watermark, and one runner at a time may finish a result.
-- Invariant  clock and settings hold exactly one row; the watermark and the epoch only rise.
-- Size       a handful of rows.
-- Locks      new objects only; safe while functions run.

create table epochs (
  epoch              integer     not null,
  system_identifier  bigint      not null,
  raised_at          timestamptz not null default clock_timestamp(),

  constraint epochs_pkey primary key (epoch),
  constraint epochs_fit_beside_a_transaction_id check (epoch between 0 and 511)
);

comment on table epochs is
  'Transaction ids start again after a restore; each start is one epoch. tx = epoch * 2^44 + transaction id, below 2^53.';

-- Which server this is: another number after a restore from a dump. Where a service keeps its control
-- file to itself (Aurora refuses, whoever asks), the database's own number has to stand for it.
create function server_identity() returns bigint
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  return (select system_identifier from pg_control_system());
exception
  when insufficient_privilege or feature_not_supported or object_not_in_prerequisite_state then
    return (select oid from pg_database where datname = current_database());
end
$$;

insert into epochs (epoch, system_identifier)
values (0, server_identity());

create table clock (
  singleton   boolean     not null default true,
  watermark  timestamptz,
  raw_from   timestamptz not null default '-infinity',

  constraint clock_pkey primary key (singleton),
  constraint clock_has_one_row check (singleton)
);

comment on column clock.watermark is
  'Every event older than this has been seen, as far as can be told; null until it is known. Only rises.';
comment on column clock.raw_from is
  'Raw events older than this are gone or going; nothing older than it changes again.';

insert into clock default values;

create table settings (
  singleton                     boolean  not null default true,
  state_retention              interval,
  window_10s_retention         interval,
  window_1m_retention          interval,
  dead_letter_bytes_retention  interval not null default '30 days',
  partition_weeks_ahead        integer  not null default 4,

  constraint settings_pkey primary key (singleton),
  constraint settings_have_one_row check (singleton),
  constraint settings_weeks_ahead_are_few check (partition_weeks_ahead between 1 and 52)
);

comment on table settings is
  'Null means: kept for ever. state_retention is that of the mergeable states of 10 s and 1 min windows.';

insert into settings (state_retention, window_10s_retention, window_1m_retention)
values ('7 days', '30 days', '400 days');

create table leases (
  name        text        not null,
  fence       bigint      not null default 0,
  holder      text,
  expires_at  timestamptz not null default '-infinity',
  waiting     text,
  tx_cursor   bigint      not null default 0,

  constraint leases_pkey primary key (name),
  constraint leases_fence_is_not_negative check (fence >= 0)
);

comment on table leases is
  'One runner at a time. A holder''s transaction first updates its row where fence = its own; a takeover raises the fence.';
comment on column leases.waiting is
  'Who waits to take over from the present holder, which then ends by itself.';

-- Microseconds since 1970, exact.
create function micros(at timestamptz) returns bigint
  language sql
  immutable
  parallel safe
return (extract(epoch from at) * 1000000)::bigint;

-- The transaction id in the order of all epochs.
create function current_epoch() returns integer
  language sql
  stable
  parallel safe
return (select max(epoch) from epochs);

-- Everything below this has ended; what a follower may handle.
create function tx_horizon() returns bigint
  language sql
  stable
return current_epoch() * 17592186044416 + pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

-- Puts an epoch into every column default `tx`. Also called after migrations: the tables that a
-- release adds begin with epoch 0.
create function set_tx_defaults(epoch integer) returns void
  language plpgsql
  set search_path = public, pg_temp
as $$
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
$$;

-- Raises the epoch in every column default `tx` when this is not the server that the last epoch was
-- made on, or when its transaction ids lie behind a stored cursor. Called by every new connection
-- before its first write; costs one read where nothing changed. Returns the epoch in force, negative
-- (-epoch) when this very call raised it, so that the caller can report it.
create function ensure_epoch() returns integer
  language plpgsql
  security definer
  set search_path = public, pg_temp
as $$
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
$$;

revoke all on function set_tx_defaults(integer) from public;
revoke all on function ensure_epoch() from public;
grant execute on function ensure_epoch() to headrace_worker, headrace_orders;
grant select on epochs, clock, settings, leases to headrace_worker, headrace_orders, headrace_reports;
grant update on clock to headrace_worker;
grant insert, update on leases to headrace_worker;
