/** Active users by every period against plain SQL over all raw rows of the same snapshot. */
import type { Difference, Sql } from "@headrace/db";
import { ACTIVE_PERIODS, type ActivePeriod, periodStart, readActiveUsers } from "@headrace/reports";
import { eventSpan } from "./event-span.ts";

const LONGEST_MICROS: Readonly<Record<ActivePeriod, number>> = {
  minute: 60_000_000,
  hour: 3_600_000_000,
  day: 86_400_000_000,
  week: 7 * 86_400_000_000,
  month: 31 * 86_400_000_000,
};

/** `sql`: within one snapshot. */
export async function activeUserDifferences(sql: Sql): Promise<Difference[]> {
  const span = await eventSpan(sql);
  if (span === undefined) return [];
  const found: Difference[] = [];
  for (const by of ACTIVE_PERIODS) {
    const fromMicros = periodStart(span.fromMicros, by);
    const toMicros = periodStart(periodStart(span.toMicros, by) + LONGEST_MICROS[by], by);
    const middle = periodStart((fromMicros + toMicros) / 2, by);
    for (const range of [
      { fromMicros, toMicros },
      { fromMicros, toMicros: middle },
      { fromMicros: middle, toMicros },
    ]) {
      if (range.fromMicros < range.toMicros) found.push(...(await differencesOf(sql, by, range)));
    }
  }
  return found;
}

async function differencesOf(
  sql: Sql,
  by: ActivePeriod,
  range: { fromMicros: number; toMicros: number },
): Promise<Difference[]> {
  const { periods, stickiness } = await readActiveUsers(
    { query: sql.query.bind(sql), snapshot: (work) => work(sql) },
    { by, ...range },
  );
  const { rows } = await sql.query<{ start: number; users: number }>(
    `select micros(date_trunc($1, event_time)) as start, count(distinct user_id) as users
     from stream_events
     where micros(event_time) >= $2
       and micros(event_time) < $3
     group by 1
     order by 1`,
    [by, range.fromMicros, range.toMicros],
  );
  const key = `${by} ${range.fromMicros}..${range.toMicros}`;
  const expected = JSON.stringify(rows.map(({ start, users }) => [start, users]));
  const actual = JSON.stringify(periods.map((it) => [Date.parse(it.start) * 1000, it.users]));
  const sticky = await plainStickiness(sql, range);
  return [
    ...(expected === actual ? [] : [{ what: "active users report", key, expected, actual }]),
    ...(sticky === stickiness
      ? []
      : [{ what: "stickiness", key, expected: sticky, actual: stickiness }]),
  ];
}

async function plainStickiness(
  sql: Sql,
  { fromMicros, toMicros }: { fromMicros: number; toMicros: number },
): Promise<number | null> {
  const days = (toMicros - fromMicros) / LONGEST_MICROS.day;
  if (!Number.isInteger(days) || fromMicros % LONGEST_MICROS.day !== 0) return null;
  const { rows } = await sql.query<{ pairs: number; users: number }>(
    `select
       count(distinct (user_id, date_trunc('day', event_time))) as pairs,
       count(distinct user_id) as users
     from stream_events
     where micros(event_time) >= $1
       and micros(event_time) < $2`,
    [fromMicros, toMicros],
  );
  const { pairs = 0, users = 0 } = rows[0] ?? {};
  return users === 0 ? null : pairs / days / users;
}
