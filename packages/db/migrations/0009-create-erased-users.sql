-- Users: who asked to be erased, and the jobs that take them out of what is kept; and profiles.
--
-- Why        a record of theirs that Kafka hands over later, or again, must not bring them back; and
--            what is stored already is made anonymous in slices.
-- Invariant  a user is known here by a keyed hash alone: the job's row names the user, and the id
--            that takes the user's place, only until the job has ended. The key never leaves the
--            database's own writers. erased_at only rises.
-- Size       about 100 bytes a user who was erased, and 150 bytes a job, for ever.
-- Locks      a moment's exclusive lock on stream_progress for its new column, which rewrites nothing.

create table erasure_key (
  singleton  boolean not null default true,
  key        bytea   not null,

  constraint erasure_key_pkey primary key (singleton),
  constraint erasure_key_is_one check (singleton),
  constraint erasure_key_has_32_bytes check (length(key) = 32)
);

comment on table erasure_key is
  'Random, made once for this database: a list of users cannot be tried against erased_users without it.';

-- 366 random bits in 32 bytes; stock PostgreSQL has no random bytes of its own.
insert into erasure_key (key)
values (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

create table erased_users (
  hash       bytea       not null,
  erased_at  timestamptz not null,

  constraint erased_users_pkey primary key (hash),
  constraint erased_users_hash_has_32_bytes check (length(hash) = 32)
);

comment on column erased_users.hash is 'HMAC-SHA-256 of the user id by erasure_key.';
comment on column erased_users.erased_at is
  'Records of the user with a Kafka timestamp up to this are not taken in.';

-- Ingest asks for the newest before it looks at any record.
create index erased_users_by_time_idx on erased_users (erased_at);

create table erasures (
  job_id        uuid        not null,
  hash          bytea       not null,
  state         text        not null,
  requested_at  timestamptz not null default clock_timestamp(),
  erased_at     timestamptz not null,
  settle_tx     bigint,
  user_id       text,
  new_user_id   text,
  next_time     timestamptz not null default '-infinity',
  events        bigint      not null default 0,
  finished_at   timestamptz,

  constraint erasures_pkey primary key (job_id),
  constraint erasures_state_is_known check (state in ('waiting', 'running', 'done')),
  constraint erasures_name_the_user_until_done
    check ((state = 'done') = (user_id is null) and (state = 'done') = (new_user_id is null)),
  constraint erasures_say_when_they_were_done check ((state = 'done') = (finished_at is not null))
);

comment on column erasures.settle_tx is
  'Every transaction that may have taken the user''s records in without knowing of the erasure has a smaller id; null until it is known.';
comment on column erasures.next_time is 'Raw events before this are anonymous already.';
comment on column erasures.events is 'Raw events made anonymous.';

create unique index erasures_one_at_a_time_idx on erasures (hash)
  where state <> 'done';

alter table stream_progress
  add column erased bigint not null default 0;

comment on column stream_progress.erased is
  'Records at new positions that were left out because their user was erased after them.';

grant select on erasure_key to headrace_worker;
grant select, insert, update on erased_users, erasures to headrace_worker;
grant update (user_id, session_id, region, data) on stream_events to headrace_worker;

-- One user's row costs a few probes; the purchase probability comes with the first model.
create view realtime_user_profiles
  with (security_invoker = true)
as
  select
    user_id,
    max(ended_at) as last_active,
    sum(event_count)::bigint as total_events,
    count(*) as sessions,
    (avg(elapsed_micros(started_at, ended_at)) / 1000000)::double precision as mean_session_duration_seconds,
    array(
      select category
      from stream_events
      where stream_events.user_id = kept_sessions.user_id
        and category is not null
      group by category
      order by count(*) desc, category collate "C"
      limit 10
    ) as favourite_categories,
    null::double precision as purchase_probability
  from kept_sessions
  group by user_id;

comment on view realtime_user_profiles is
  'One row per user with a session, as far as the follower finish-sessions has come; the report adds what came since.';

grant select on realtime_user_profiles to headrace_worker, headrace_orders, headrace_reports;
