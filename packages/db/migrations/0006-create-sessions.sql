-- Gap sessions of users, what their summary needs per hour, and how many users were active.
--
-- Why        a visit is a dozen events: who asks for visits, visitors or their habits reads sessions
--            and counts here instead of raw events.
-- Invariant  with C the cursor of `finish-sessions` in leases: kept_sessions holds the gap sessions
--            (30 min) of all events with tx < C, ended or not; session_hours, session_spread,
--            active_users and active_days are counts over the same events. All figures are sums, so
--            that what changes is taken away and added, never counted again.
-- Size       about 130 bytes a session with its indexes; some hundred rows a day in session_spread
--            and active_days, 24 in session_hours, 1,464 in active_users.
-- Locks      new objects only; safe while functions run.

create table kept_sessions (
  user_id        text         not null,
  started_at     timestamptz  not null,
  ended_at       timestamptz  not null,
  event_count    bigint       not null,
  purchases      bigint       not null,
  value_sum      numeric,
  revenue_cents  bigint       not null,

  constraint kept_sessions_pkey primary key (user_id, started_at),
  constraint kept_sessions_end_after_their_start check (ended_at >= started_at),
  constraint kept_sessions_hold_events check (event_count > 0 and purchases between 0 and event_count)
) with (
  -- A session that grows at its end is rewritten on its own page, without touching an index.
  fillfactor = 70
);

comment on table kept_sessions is
  'One row per gap session as far as the follower has come; the view sessions is what to read.';
comment on column kept_sessions.purchases is 'Events of type purchase.';
comment on column kept_sessions.revenue_cents is 'The amount of its purchases, in cents.';

-- Lists over all users; the primary key serves one.
create index kept_sessions_by_start_idx on kept_sessions (started_at, user_id);

-- Exact below 100 years, and ten times as fast as the difference of two micros().
create function elapsed_micros(since timestamptz, until timestamptz) returns bigint
  language sql
  immutable
  parallel safe
return round(date_part('epoch', until - since) * 1000000)::bigint;

-- Stable while the session grows at its end.
create function session_id(user_id text, started_at timestamptz) returns uuid
  language sql
  immutable
  parallel safe
return md5(user_id || ' ' || micros(started_at))::uuid;

create view sessions
  with (security_invoker = true)
as
  select
    session_id(user_id, started_at) as session_id,
    user_id,
    started_at,
    ended_at,
    event_count,
    elapsed_micros(started_at, ended_at) / 1000000.0::double precision as duration_seconds,
    double_or_null(value_sum) as value_sum,
    (revenue_cents / 100.0)::numeric(20, 2) as revenue,
    purchases > 0 as purchased,
    coalesce((select watermark from clock) <= ended_at + interval '30 minutes', true) as open
  from kept_sessions;

comment on view sessions is
  'Gap sessions as far as the follower finish-sessions has come, a second or two behind; the report adds what came since.';

create table session_hours (
  hour             timestamptz  not null,
  sessions         bigint       not null,
  with_purchase    bigint       not null,
  events           bigint       not null,
  duration_micros  bigint       not null,

  constraint session_hours_pkey primary key (hour),
  constraint session_hours_are_whole check (micros(hour) % 3600000000 = 0),
  constraint session_hours_are_possible
    check (sessions >= 0 and with_purchase between 0 and sessions and events >= sessions and duration_micros >= 0)
) with (fillfactor = 50);

comment on table session_hours is 'Sessions by the hour that they start in.';

create table session_spread (
  size      text         not null,
  start     timestamptz  not null,
  measure   text         not null,
  bin       bigint       not null,
  sessions  bigint       not null,

  constraint session_spread_pkey primary key (size, start, measure, bin),
  constraint session_spread_size_is_known check (size in ('1h', '1d')),
  constraint session_spread_measure_is_known check (measure in ('events', 'duration')),
  constraint session_spread_is_not_negative check (sessions >= 0)
) with (fillfactor = 50);

comment on table session_spread is
  'How many sessions that start in an hour or day have so many events, or a duration in that bin (duration_bin).';

-- The power of two of a duration and the next six binary digits: the ends of a bin are at most 1/64
-- apart, so that their harmonic mean stands for all of it within 0.8 %. Bits and no logarithm: what
-- was counted in a bin is found in the same bin again, on every machine.
create function duration_bin(micros bigint) returns bigint
  language sql
  immutable
  parallel safe
return (
  (get_byte(float8send(micros::double precision), 0) << 16)
  | (get_byte(float8send(micros::double precision), 1) << 8)
  | get_byte(float8send(micros::double precision), 2)
) >> 6;

create table active_users (
  by     text         not null,
  start  timestamptz  not null,
  users  bigint       not null,

  constraint active_users_pkey primary key (by, start),
  constraint active_users_by_is_known check (by in ('minute', 'hour')),
  constraint active_users_are_not_negative check (users >= 0)
) with (fillfactor = 50);

comment on table active_users is
  'How many users have an event in a minute or hour. Days and longer are told by active_days.';

create table active_days (
  day           date    not null,
  previous_day  date    not null,
  users         bigint  not null,

  constraint active_days_pkey primary key (day, previous_day),
  constraint active_days_come_one_after_the_other check (previous_day < day),
  constraint active_days_are_not_negative check (users >= 0)
) with (fillfactor = 50);

comment on table active_days is
  'How many users are active on a day and were so last on previous_day (-infinity: never before). The users of any whole days [from, to) are those whose previous day lies before from.';

grant select on kept_sessions, sessions, session_hours, session_spread, active_users, active_days
  to headrace_worker, headrace_orders, headrace_reports;
grant insert, update, delete on kept_sessions, session_hours, session_spread, active_users, active_days
  to headrace_worker;
