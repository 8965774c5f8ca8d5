-- Interval joins: which are declared, and what of them is finished behind the cut.
--
-- Why        a report of pairs reads the few events that have a partner instead of every event, and
--            still tells of pairs whose raw events are gone.
-- Invariant  for a join and every left event from filled_from on, as far as the follower find-joins
--            has come: join_lefts holds the left events with at least one right one, join_rights the
--            right events of these. All pairs of a user with 0 <= right - left <= within follow from
--            the two; join_counts says how many pairs begin in each minute and hour, at most 1,000
--            for a left event, the rest as not_listed. Pairs themselves are kept nowhere: a user with
--            n events in a minute has n * n of them.
-- Size       about 150 bytes for each event that has a partner, per join; counts 100 bytes a minute.
-- Locks      new objects only; safe while functions run.

create table joins (
  join_id        integer      not null generated always as identity,
  name           text         not null,
  version        integer      not null,
  left_type      text         not null,
  right_type     text         not null,
  within_micros  bigint       not null,
  state          text         not null,
  filled_from    timestamptz  not null,
  fill_start     timestamptz,
  fill_end       timestamptz,
  declared_at    timestamptz  not null default clock_timestamp(),

  constraint joins_pkey primary key (join_id),
  constraint joins_versions_are_counted unique (name, version),
  constraint joins_name_is_a_name check (name ~ '^[a-z][a-z0-9_-]{0,63}$'),
  constraint joins_types_are_types
    check (left_type ~ '^[a-z][a-z0-9_.]{0,63}$' and right_type ~ '^[a-z][a-z0-9_.]{0,63}$'),
  constraint joins_reach_a_day_at_most check (within_micros between 1 and 86400000000),
  constraint joins_state_is_known check (state in ('filling', 'active', 'retired')),
  constraint joins_that_answer_are_filled check (state <> 'active' or filled_from = '-infinity')
);

comment on table joins is
  'Declared interval joins, a row for each version. The active one answers, the filling one will, a retired one is being deleted.';
comment on column joins.filled_from is
  'Left events from here on are finished; filling goes from the newest back to the oldest.';
comment on column joins.fill_start is 'The oldest left event when filling began.';
comment on column joins.fill_end is 'The newest one.';

create unique index joins_answer_by_one_version_idx on joins (name) where state = 'active';
create unique index joins_fill_one_version_idx on joins (name) where state = 'filling';

create table join_lefts (
  join_id        integer      not null,
  left_time      timestamptz  not null,
  left_event_id  uuid         not null,
  user_id        text         not null,

  constraint join_lefts_pkey primary key (join_id, left_time, left_event_id)
);

comment on table join_lefts is
  'Left events that have at least one right event in join_rights: same join and user, 0 <= right_time - left_time <= within.';

create table join_rights (
  join_id         integer      not null,
  user_id         text         not null,
  right_time      timestamptz  not null,
  right_event_id  uuid         not null,

  constraint join_rights_pkey primary key (join_id, user_id, right_time, right_event_id)
);

create table join_counts (
  join_id       integer      not null,
  size          text         not null,
  window_start  timestamptz  not null,
  matches       bigint       not null,
  not_listed    bigint       not null,

  constraint join_counts_pkey primary key (join_id, size, window_start),
  constraint join_counts_size_is_known check (size in ('1m', '1h')),
  constraint join_counts_are_possible check (matches >= 0 and not_listed >= 0)
) with (fillfactor = 50);

comment on table join_counts is
  'Pairs by the minute and hour of their left event; not_listed are those beyond 1,000 of one left event.';

insert into joins (name, version, left_type, right_type, within_micros, state, filled_from)
values
  ('login-purchase', 1, 'login', 'purchase', 300000000, 'active', '-infinity'),
  ('view-cart', 1, 'page_view', 'add_to_cart', 1800000000, 'active', '-infinity');

grant select on joins, join_lefts, join_rights, join_counts
  to headrace_worker, headrace_orders, headrace_reports;
grant insert, update, delete on joins, join_lefts, join_rights, join_counts to headrace_worker;
