/**
 * What some events change of interval joins: left and right events that find their first partner, and
 * how many pairs are added in each minute.
 *
 * Finished joins are sets of events, not of pairs, and events only ever join them: so the same text
 * tells the follower what to insert, and a reader what is open. It looks at the events of the users
 * concerned within the join's limit around each given event, and counts partners with a frame that
 * slides over one user's time: n events cost n log n, however many pairs they make.
 */

import { type Stretch, widenStretches, withinStretches } from "../followers/stretches.ts";
import { instantText, type Sql } from "../sql.ts";

/** Rights of one left event that are listed, nearest first; the rest is counted. */
export const MAX_LISTED = 1000;

export interface JoinTerms {
  readonly joinId: number;
  readonly leftType: string;
  readonly rightType: string;
  /** Between the two events of a pair, at most. */
  readonly withinMicros: number;
}

/** A join, and which of its left events are meant: [fromMicros, toMicros); both may be infinite. */
export interface JoinScope extends JoinTerms {
  readonly fromMicros: number;
  readonly toMicros: number;
}

/** The events of the joins' types whose `tx` lies in [fromTx, toTx). */
export interface AddedEvents {
  /** Where they lie. */
  readonly stretches: readonly Stretch[];
  readonly fromTx: number;
  /** Events from here on are not looked at; undefined: all that the snapshot shows. */
  readonly toTx: number | undefined;
  /** Only those of this type; undefined: of every type that the joins look at. */
  readonly type?: string;
}

/** A statement's common table expressions, and the parameters that they use: $1 and on. */
export interface JoinChanges {
  readonly text: string;
  readonly values: unknown[];
}

/**
 * The last three expressions are `new_lefts (join_id, left_time, left_event_id, user_id)`,
 * `new_rights (join_id, user_id, right_time, right_event_id)` and `new_counts (join_id, minute,
 * matches, not_listed)`. A right event may have been a partner of left events out of scope before.
 * Undefined where no join looks at any of the events.
 */
export async function joinChanges(
  sql: Sql,
  scopes: readonly JoinScope[],
  added: AddedEvents,
): Promise<JoinChanges | undefined> {
  if (scopes.length === 0 || added.stretches.length === 0) return undefined;
  const around = await readAround(sql, scopes, added);
  if (around.length === 0) return undefined;
  const values: unknown[] = [];
  return { text: changesText(scopes, added, around, values), values };
}

/** A user's time around some of the events, as far as a partner may lie. */
interface Around extends Record<string, unknown> {
  readonly user_id: string;
  readonly first: number;
  readonly last: number;
}

/**
 * A statement of its own: what it finds tells the next one's planner how much there is to do, where
 * statistics of a table that has just grown would not.
 */
async function readAround(
  sql: Sql,
  scopes: readonly JoinScope[],
  { stretches, fromTx, toTx, type }: AddedEvents,
): Promise<Around[]> {
  const reaches = reachOfTypes(scopes);
  const types = type === undefined ? [...reaches.keys()] : [type];
  const values = [
    types,
    types.map((each) => intervalText(reaches.get(each) ?? 0)),
    fromTx,
    toTx ?? null,
  ];
  const { rows } = await sql.query<Around>(
    `with added as materialized (
       select user_id, event_type, event_time
       from stream_events
       where ${withinStretches("event_time", stretches, values)}
         and tx >= $3::bigint
         and ($4::bigint is null or tx < $4::bigint)
         and event_type = any ($1::text[])
     ),
     around as (
       select
         user_id,
         unnest(range_agg(tstzrange(event_time - reach, event_time + reach, '[]'))) as stretch
       from added
       join unnest($1::text[], $2::interval[]) as given (event_type, reach) using (event_type)
       group by user_id
     )
     select user_id, lower(stretch) as first, upper(stretch) as last
     from around
     order by user_id`,
    values,
  );
  return rows;
}

function changesText(
  scopes: readonly JoinScope[],
  { stretches, fromTx, toTx }: AddedEvents,
  around: readonly Around[],
  values: unknown[],
): string {
  const add = (value: unknown): string => `$${values.push(value)}`;
  const reaches = reachOfTypes(scopes);
  const reach = Math.max(...reaches.values());
  const near = withinStretches("event_time", widenStretches(stretches, reach, reach), values);
  const each = (part: (number: number) => string): string =>
    scopes.map((_, index) => part(index)).join("\n union all ");
  // `offset 0` makes one index probe of each stretch of a user, whatever the planner believes of a
  // table that has just grown; the types are compared outside, lest their index be taken instead.
  return `
    context as materialized (
      select around.user_id, event_time, event_id, event_type, tx >= ${add(fromTx)}::bigint as is_new
      from unnest(
        ${add(around.map(({ user_id }) => user_id))}::text[],
        ${add(around.map(({ first }) => instantText(first)))}::timestamptz[],
        ${add(around.map(({ last }) => instantText(last)))}::timestamptz[]
      ) as around (user_id, first, last)
      cross join lateral (
        select event_time, event_id, event_type, tx
        from stream_events
        where stream_events.user_id = around.user_id
          and event_time between first and last
          and ${near}
          ${toTx === undefined ? "" : `and tx < ${add(toTx)}::bigint`}
        offset 0
      ) as event
      where event_type = any (${add([...reaches.keys()])}::text[])
    ),
    ${scopes.map((scope, index) => `${countedText(scope, index, add)},`).join("")}
    new_lefts as (
      ${each(
        (n) => `
          select join_id, event_time as left_time, event_id as left_event_id, user_id
          from counted_${n}
          where is_left and rights > 0 and (is_new or rights_before = 0)`,
      )}
    ),
    new_rights as (
      ${each(
        (n) => `
          select join_id, user_id, event_time as right_time, event_id as right_event_id
          from counted_${n}
          where is_right and lefts > 0 and (is_new or lefts_before = 0)`,
      )}
    ),
    new_counts as (
      ${each(
        (n) => `
          select
            join_id,
            date_bin(interval '1 minute', event_time, timestamptz 'epoch') as minute,
            sum(least(rights, ${MAX_LISTED}) - least(rights_before, ${MAX_LISTED}))::bigint as matches,
            sum(greatest(rights - ${MAX_LISTED}, 0) - greatest(rights_before - ${MAX_LISTED}, 0))::bigint as not_listed
          from (
            select join_id, event_time, rights, case when is_new then 0 else rights_before end as rights_before
            from counted_${n}
            where is_left
          ) as left_event
          where rights > rights_before
          group by 1, 2`,
      )}
    )`;
}

/** How many partners each event of one join has, and how many of them were there before. */
function countedText(scope: JoinScope, n: number, add: (value: unknown) => string): string {
  const left = `${add(scope.leftType)}::text`;
  const right = `${add(scope.rightType)}::text`;
  const within = `${add(intervalText(scope.withinMicros))}::interval`;
  const isMeant = `event_time >= ${add(boundText(scope.fromMicros))}::timestamptz
                and event_time < ${add(boundText(scope.toMicros))}::timestamptz`;
  // An event is no partner of itself.
  const [self, selfBefore] =
    scope.leftType === scope.rightType
      ? (["1", "(not is_new)::integer"] as const)
      : (["0", "0"] as const);
  // `is true` makes a hash of the users, where the planner expects one of them and would take a loop.
  return `
    typed_${n} as (
      select
        user_id, event_time, event_id, is_new,
        event_type = ${left} and ${isMeant} as is_left,
        event_type = ${right} as is_right
      from context
      where event_type in (${left}, ${right})
    ),
    counted_${n} as (
      select
        ${add(scope.joinId)}::integer as join_id,
        user_id, event_time, event_id, is_new, is_left, is_right,
        count(*) filter (where is_right) over following - ${self} as rights,
        count(*) filter (where is_right and not is_new) over following - ${selfBefore} as rights_before,
        count(*) filter (where is_left) over preceding - ${self} * is_left::integer as lefts,
        count(*) filter (where is_left and not is_new) over preceding - ${selfBefore} * is_left::integer as lefts_before
      from typed_${n}
      where (user_id in (
        select user_id
        from typed_${n}
        group by user_id
        having bool_or(is_left) and bool_or(is_right) and bool_or(is_new)
      )) is true
      window
        following as (partition by user_id order by event_time range between current row and ${within} following),
        preceding as (partition by user_id order by event_time range between ${within} preceding and current row)
    )`;
}

function reachOfTypes(scopes: readonly JoinTerms[]): Map<string, number> {
  const reaches = new Map<string, number>();
  for (const { leftType, rightType, withinMicros } of scopes) {
    for (const type of [leftType, rightType]) {
      reaches.set(type, Math.max(reaches.get(type) ?? 0, withinMicros));
    }
  }
  return reaches;
}

/** Never days: PostgreSQL's days need not have 24 hours. */
export const intervalText = (micros: number): string => `${micros} microseconds`;

/** An instant that may be infinite. */
export function boundText(micros: number): string {
  if (micros === Number.POSITIVE_INFINITY) return "infinity";
  return micros === Number.NEGATIVE_INFINITY ? "-infinity" : instantText(micros);
}
