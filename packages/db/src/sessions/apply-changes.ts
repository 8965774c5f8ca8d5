/** Puts changes into the kept tables: the statement's parts that write. */

/** The kept sessions: those that were joined into an earlier one go, the others are as `merged` says. */
export const APPLY_SESSIONS = `
  joined_away as (
    delete from kept_sessions
    where ctid = any (array(
      select place
      from touched
      where (user_id, started_at) not in (select user_id, started_at from merged)
    ))
  ),
  kept as (
    insert into kept_sessions
      (user_id, started_at, ended_at, event_count, purchases, value_sum, revenue_cents)
    select user_id, started_at, ended_at, event_count, purchases, value_sum, revenue_cents
    from merged
    on conflict (user_id, started_at) do update
    set ended_at      = excluded.ended_at,
        event_count   = excluded.event_count,
        purchases     = excluded.purchases,
        value_sum     = excluded.value_sum,
        revenue_cents = excluded.revenue_cents
  )`;

interface Counts {
  readonly table: string;
  readonly keys: readonly string[];
  readonly counts: readonly string[];
}

/**
 * Adds the counts of `changes` to a table's rows. Each row is read first, by its key, and written as it
 * is to be: a row that only takes away would itself break the table's constraints.
 */
const addCounts = (changes: string, { table, keys, counts }: Counts): string => `
  insert into ${table} (${[...keys, ...counts].join(", ")})
  select
    ${keys.map((key) => `added.${key}`).join(", ")},
    ${counts.map((count) => `added.${count} + coalesce(before.${count}, 0)`).join(", ")}
  from (${changes}) as added
  left join lateral (
    select ${counts.join(", ")}
    from ${table}
    where ${keys.map((key) => `${table}.${key} = added.${key}`).join(" and ")}
    limit 1
  ) as before on true
  on conflict (${keys.join(", ")}) do update
  set ${counts.map((count) => `${count} = excluded.${count}`).join(", ")}`;

export const APPLY_SESSION_COUNTS = `
  hours as (
    ${addCounts("select * from hour_change", {
      table: "session_hours",
      keys: ["hour"],
      counts: ["sessions", "with_purchase", "events", "duration_micros"],
    })}
  ),
  spread as (
    ${addCounts("select * from spread_change", {
      table: "session_spread",
      keys: ["size", "start", "measure", "bin"],
      counts: ["sessions"],
    })}
  )`;

export const APPLY_ACTIVITY = `
  users as (
    ${addCounts(
      `select 'minute' as by, minute as start, users from minute_change
       union all
       select 'hour', hour, users from hour_change_of_users`,
      { table: "active_users", keys: ["by", "start"], counts: ["users"] },
    )}
  ),
  days as (
    ${addCounts("select * from day_change", {
      table: "active_days",
      keys: ["day", "previous_day"],
      counts: ["users"],
    })}
  )`;
