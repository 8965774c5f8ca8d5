/**
 * How many finished pairs of a join begin in a stretch of time: whole hours and minutes from what is
 * kept of them, the ends within a minute from the events themselves.
 */
import { instantText, intervalText, type JoinVersion, MAX_LISTED, type Sql } from "@headrace/db";
import { floorTo, WINDOW_MICROS } from "@headrace/windows";

export interface JoinTally {
  /** Pairs that a list holds. */
  readonly matches: number;
  readonly notListed: number;
}

interface Run {
  readonly size: "1m" | "1h";
  readonly from: number;
  readonly to: number;
}

interface Range {
  readonly from: number;
  readonly to: number;
}

export async function tallyJoin(
  moment: Sql,
  join: JoinVersion,
  range: { readonly fromMicros: number; readonly toMicros: number },
): Promise<JoinTally> {
  const { runs, ends } = coverMinutes({ from: range.fromMicros, to: range.toMicros });
  const tallies = [await tallyRuns(moment, join, runs)];
  for (const end of ends) tallies.push(await tallyEnd(moment, join, end));
  return {
    matches: tallies.reduce((sum, { matches }) => sum + matches, 0),
    notListed: tallies.reduce((sum, { notListed }) => sum + notListed, 0),
  };
}

/** Whole hours, whole minutes before and after them, and what is left at the two ends. */
function coverMinutes({ from, to }: Range): {
  readonly runs: readonly Run[];
  readonly ends: readonly Range[];
} {
  const [minute, hour] = [WINDOW_MICROS["1m"], WINDOW_MICROS["1h"]];
  const minutes = { from: ceilTo(from, minute), to: floorTo(to, minute) };
  if (minutes.from > minutes.to) return { runs: [], ends: [{ from, to }] };
  const hours = { from: ceilTo(from, hour), to: floorTo(to, hour) };
  const runs: Run[] =
    hours.from > hours.to
      ? [{ size: "1m", ...minutes }]
      : [
          { size: "1m", from: minutes.from, to: hours.from },
          { size: "1h", ...hours },
          { size: "1m", from: hours.to, to: minutes.to },
        ];
  const ends = [
    { from, to: minutes.from },
    { from: minutes.to, to },
  ];
  return { runs: runs.filter(isLong), ends: ends.filter(isLong) };
}

const isLong = (range: Range): boolean => range.from < range.to;
const ceilTo = (micros: number, step: number): number => -floorTo(-micros, step);

interface TallyRow extends Record<string, unknown> {
  matches: number;
  not_listed: number;
}

const tallyOf = (row: TallyRow | undefined): JoinTally => ({
  matches: row?.matches ?? 0,
  notListed: row?.not_listed ?? 0,
});

async function tallyRuns(
  sql: Sql,
  { joinId }: JoinVersion,
  runs: readonly Run[],
): Promise<JoinTally> {
  const { rows } = await sql.query<TallyRow>({
    name: "tally-join",
    text: `select
             coalesce(sum(matches), 0)::bigint as matches,
             coalesce(sum(not_listed), 0)::bigint as not_listed
           from unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) as run (size, from_time, to_time)
           join join_counts
             on join_counts.join_id = $1
            and join_counts.size = run.size
            and window_start >= from_time
            and window_start < to_time`,
    values: [
      joinId,
      runs.map(({ size }) => size),
      runs.map(({ from }) => instantText(from)),
      runs.map(({ to }) => instantText(to)),
    ],
  });
  return tallyOf(rows[0]);
}

/** Counts with a sliding frame: one user may have thousands of both within a second. */
async function tallyEnd(sql: Sql, join: JoinVersion, { from, to }: Range): Promise<JoinTally> {
  const { rows } = await sql.query<TallyRow>({
    name: "tally-join-end",
    text: `with left_event as materialized (
             select user_id, left_time, left_event_id
             from join_lefts
             where join_id = $1
               and left_time >= $2
               and left_time < $3
           ),
           right_event as (
             select user_id, right_time, right_event_id
             from (
               select user_id, min(left_time) as first, max(left_time) as last
               from left_event
               group by user_id
             ) as reach
             cross join lateral (
               select right_time, right_event_id
               from join_rights
               where join_id = $1
                 and join_rights.user_id = reach.user_id
                 and right_time between first and last + $4::interval
             ) as near
           ),
           event as (
             select user_id, time, event_id, bool_or(is_left) as is_left, bool_or(not is_left) as is_right
             from (
               select user_id, left_time as time, left_event_id as event_id, true as is_left
               from left_event
               union all
               select user_id, right_time, right_event_id, false
               from right_event
             ) as half
             group by user_id, time, event_id
           ),
           counted as (
             select
               is_left,
               count(*) filter (where is_right) over (
                 partition by user_id
                 order by time
                 range between current row and $4::interval following
               ) - is_right::integer as rights
             from event
           )
           select
             coalesce(sum(least(rights, ${MAX_LISTED})), 0)::bigint as matches,
             coalesce(sum(greatest(rights - ${MAX_LISTED}, 0)), 0)::bigint as not_listed
           from counted
           where is_left`,
    values: [join.joinId, instantText(from), instantText(to), intervalText(join.withinMicros)],
  });
  return tallyOf(rows[0]);
}
