/**
 * GET /v1/reports/joins/{name}: the pairs of an interval join, in the order of their left event, then
 * of their right one; and the declared joins themselves.
 *
 * Finished events and what the open ones change are read in one snapshot, so pairs and totals are
 * exact at every moment, whatever the follower has done. Pairs are made here, from the events that
 * have a partner: a page holds at most as many left events as pairs.
 */
import {
  type DeclaredJoin,
  instantText,
  intervalText,
  JOINS_FOLLOWER,
  type JoinScope,
  type JoinVersion,
  joinChanges,
  MAX_LISTED,
  type OpenPart,
  openPart,
  rawFromOf,
  readJoins,
  type Sql,
  type Stretch,
  unknownJoin,
} from "@headrace/db";
import { unavailable } from "@headrace/kernel";
import * as z from "zod";
import { Count, InstantText, instantOf } from "./answer.ts";
import { type JoinTally, tallyJoin } from "./join-tally.ts";
import type { ReportSql } from "./report-sql.ts";

export const JoinMatchAnswer = z.strictObject({
  user_id: z.string(),
  left_event_id: z.string(),
  left_time: InstantText,
  right_event_id: z.string(),
  right_time: InstantText,
  /** From the left event to the right one. */
  seconds: z.number().min(0),
});
export type JoinMatchAnswer = z.output<typeof JoinMatchAnswer>;

export const JoinTotals = z.strictObject({
  /** All pairs of the range, whatever the page. */
  total: Count,
  /** How many of them no page lists: those beyond the 1,000 nearest right events of a left one. */
  not_listed: Count,
});

/** An event's place among those of a join: time in µs and id. */
export interface EventPlace {
  readonly timeMicros: number;
  readonly eventId: string;
}

/** A pair's place among those of a join. */
export interface MatchPlace {
  readonly left: EventPlace;
  readonly right: EventPlace;
}

export interface JoinMatchesQuery {
  readonly name: string;
  /** Pairs whose left event lies in [from, to), µs. */
  readonly fromMicros: number;
  readonly toMicros: number;
  /** Only pairs behind this place. */
  readonly after: MatchPlace | undefined;
  readonly limit: number;
}

export interface JoinMatchesPage extends z.output<typeof JoinTotals> {
  readonly matches: JoinMatchAnswer[];
  /** Undefined where nothing follows. */
  readonly last: MatchPlace | undefined;
}

/** Throws `join.unknown`, and `join.filling` where the range is not filled yet. */
export function readJoinMatches(sql: ReportSql, query: JoinMatchesQuery): Promise<JoinMatchesPage> {
  return sql.snapshot(async (moment) => {
    const [declared] = await readJoins(moment, query.name);
    if (declared === undefined) throw unknownJoin(query.name);
    const join = answering(declared, query.fromMicros);
    const kept = await keptLefts(moment, join, query);
    const open = await readOpen(moment, join, query, kept);
    const lefts = mergePlaces(kept, open.lefts).slice(0, leftsOf(query));
    const rights = await keptRights(moment, join, lefts, query);
    const pairs = pairUp(join, lefts, rights, open.rights, query);
    const shown = pairs.slice(0, query.limit);
    const tally = await tallyJoin(moment, join, query);
    return {
      matches: shown.map(matchOf),
      total: tally.matches + tally.notListed + open.tally.matches + open.tally.notListed,
      not_listed: tally.notListed + open.tally.notListed,
      last: pairs.length > query.limit ? shown.at(-1) : undefined,
    };
  });
}

const FILLING_SECONDS = 5;

/** The version that can answer from `fromMicros` on: a new join is filled from the newest event back. */
function answering({ name, active, filling }: DeclaredJoin, fromMicros: number): JoinVersion {
  if (active !== undefined) return active;
  if (filling !== undefined && filling.filledFromMicros <= fromMicros) return filling;
  const { filled = 0, filledFromMicros = Number.POSITIVE_INFINITY } = filling ?? {};
  const sofar = Number.isFinite(filledFromMicros)
    ? `, back to ${instantOf(filledFromMicros)} so far`
    : "";
  throw unavailable(
    "join.filling",
    `${name} is being filled from history, the newest events first: ${Math.floor(filled * 100)} %${sofar}`,
    { retryAfterSeconds: FILLING_SECONDS },
  );
}

/** A left or right event that has a partner. */
interface Partner extends EventPlace {
  readonly userId: string;
}

interface Pair extends MatchPlace {
  readonly userId: string;
}

const NIL_ID = "00000000-0000-0000-0000-000000000000";

/** Each has a pair; that of the place itself may have none behind it, and one more tells what follows. */
const leftsOf = ({ limit }: JoinMatchesQuery): number => limit + 2;

const firstLeft = ({ after, fromMicros }: JoinMatchesQuery): EventPlace =>
  after?.left ?? { timeMicros: fromMicros, eventId: NIL_ID };

interface PartnerRow extends Record<string, unknown> {
  time: number;
  event_id: string;
  user_id: string;
}

const partnerOf = (row: PartnerRow): Partner => ({
  timeMicros: row.time,
  eventId: row.event_id,
  userId: row.user_id,
});

async function keptLefts(
  sql: Sql,
  { joinId }: JoinVersion,
  query: JoinMatchesQuery,
): Promise<Partner[]> {
  const first = firstLeft(query);
  const { rows } = await sql.query<PartnerRow>({
    name: "join-lefts",
    text: `select left_time as time, left_event_id as event_id, user_id
           from join_lefts
           where join_id = $1
             and (left_time, left_event_id) >= ($2::timestamptz, $3::uuid)
             and left_time < $4
           order by left_time, left_event_id
           limit $5`,
    values: [
      joinId,
      instantText(first.timeMicros),
      first.eventId,
      instantText(query.toMicros),
      leftsOf(query),
    ],
  });
  return rows.map(partnerOf);
}

/** What the open events add: left events of this page, right events of its users, and the tally. */
interface OpenChanges {
  readonly lefts: readonly Partner[];
  /** By user, in order. */
  readonly rights: ReadonlyMap<string, readonly Partner[]>;
  readonly tally: JoinTally;
}

const NOTHING_OPEN: OpenChanges = {
  lefts: [],
  rights: new Map(),
  tally: { matches: 0, notListed: 0 },
};

async function readOpen(
  moment: Sql,
  join: JoinVersion,
  query: JoinMatchesQuery,
  kept: readonly Partner[],
): Promise<OpenChanges> {
  const open = await openPart(moment, JOINS_FOLLOWER);
  const stretches = overlapping(open.stretches, {
    fromMicros: query.fromMicros,
    toMicros: query.toMicros + join.withinMicros,
  });
  if (stretches.length === 0) return NOTHING_OPEN;
  const fromMicros = Math.max(query.fromMicros, await rawFromOf(moment));
  const scope = { ...join, fromMicros, toMicros: query.toMicros };
  if (scope.fromMicros >= scope.toMicros) return NOTHING_OPEN;
  return readChanges(moment, scope, { ...open, stretches }, query, kept);
}

function overlapping(stretches: readonly Stretch[], range: Stretch): Stretch[] {
  return stretches
    .map(({ fromMicros, toMicros }) => ({
      fromMicros: Math.max(fromMicros, range.fromMicros),
      toMicros: Math.min(toMicros, range.toMicros),
    }))
    .filter(({ fromMicros, toMicros }) => fromMicros <= toMicros);
}

interface ChangeRow extends PartnerRow {
  kind: "left" | "right" | "tally";
  matches: number;
  not_listed: number;
}

async function readChanges(
  moment: Sql,
  scope: JoinScope,
  open: OpenPart,
  query: JoinMatchesQuery,
  kept: readonly Partner[],
): Promise<OpenChanges> {
  const first = firstLeft(query);
  const users = [...new Set(kept.map(({ userId }) => userId))];
  const changes = await joinChanges(moment, [scope], {
    ...open,
    toTx: undefined,
  });
  if (changes === undefined) return NOTHING_OPEN;
  const values = [...changes.values];
  const add = (value: unknown): string => `$${values.push(value)}`;
  const { rows } = await moment.query<ChangeRow>(
    `with ${changes.text},
     page as (
       select user_id, left_time, left_event_id
       from new_lefts
       where (left_time, left_event_id) >= (${add(instantText(first.timeMicros))}::timestamptz, ${add(first.eventId)}::uuid)
       order by left_time, left_event_id
       limit ${add(leftsOf(query))}
     )
     select 'left' as kind, user_id, left_time as time, left_event_id as event_id, null::bigint as matches, null::bigint as not_listed
     from page
     union all
     select 'right', user_id, right_time, right_event_id, null, null
     from new_rights
     where user_id in (select user_id from page union select unnest(${add(users)}::text[]))
     union all
     select 'tally', null, null, null, coalesce(sum(matches), 0)::bigint, coalesce(sum(not_listed), 0)::bigint
     from new_counts`,
    values,
  );
  const of = (kind: ChangeRow["kind"]) => rows.filter((row) => row.kind === kind);
  const [tally] = of("tally");
  return {
    lefts: of("left").map(partnerOf).sort(byPlace),
    rights: Map.groupBy(of("right").map(partnerOf).sort(byPlace), ({ userId }) => userId),
    tally: { matches: tally?.matches ?? 0, notListed: tally?.not_listed ?? 0 },
  };
}

/** The nearest right events of each left one, as far as a page may need them; by the left one's index. */
async function keptRights(
  sql: Sql,
  join: JoinVersion,
  lefts: readonly Partner[],
  { limit }: JoinMatchesQuery,
): Promise<ReadonlyMap<number, Partner[]>> {
  const { rows } = await sql.query<PartnerRow & { left_index: number }>({
    name: "join-rights",
    text: `select left_index, right_time as time, right_event_id as event_id, left_event.user_id
           from unnest($2::timestamptz[], $3::uuid[], $4::text[])
             with ordinality as left_event (time, event_id, user_id, left_index)
           cross join lateral (
             select right_time, right_event_id
             from join_rights
             where join_id = $1
               and join_rights.user_id = left_event.user_id
               and right_time between left_event.time and left_event.time + $5::interval
               and (right_time, right_event_id) <> (left_event.time, left_event.event_id)
             order by right_time, right_event_id
             limit ${MAX_LISTED}
           ) as right_event
           order by left_index, right_time, right_event_id
           limit $6`,
    values: [
      join.joinId,
      lefts.map(({ timeMicros }) => instantText(timeMicros)),
      lefts.map(({ eventId }) => eventId),
      lefts.map(({ userId }) => userId),
      intervalText(join.withinMicros),
      limit + 1 + MAX_LISTED,
    ],
  });
  const byLeft = Map.groupBy(rows, (row) => row.left_index - 1);
  return new Map([...byLeft].map(([index, of]) => [index, of.map(partnerOf)]));
}

/** The pairs behind the query's place, in order: one more than the page holds tells what follows. */
function pairUp(
  { withinMicros }: JoinVersion,
  lefts: readonly Partner[],
  kept: ReadonlyMap<number, readonly Partner[]>,
  open: ReadonlyMap<string, readonly Partner[]>,
  { after, limit }: JoinMatchesQuery,
): Pair[] {
  const pairs: Pair[] = [];
  for (const [index, left] of lefts.entries()) {
    const opened = (open.get(left.userId) ?? []).filter(
      (right) =>
        right.timeMicros >= left.timeMicros &&
        right.timeMicros <= left.timeMicros + withinMicros &&
        byPlace(right, left) !== 0,
    );
    const rights = mergePlaces(kept.get(index) ?? [], opened).slice(0, MAX_LISTED);
    const isFirst = after !== undefined && byPlace(left, after.left) === 0;
    for (const right of rights) {
      if (isFirst && byPlace(right, after.right) <= 0) continue;
      pairs.push({ userId: left.userId, left, right });
      if (pairs.length > limit) return pairs;
    }
  }
  return pairs;
}

/** UUIDs in lower case stand in the same order as their bytes. */
function byPlace(a: EventPlace, b: EventPlace): number {
  if (a.timeMicros !== b.timeMicros) return a.timeMicros - b.timeMicros;
  if (a.eventId === b.eventId) return 0;
  return a.eventId < b.eventId ? -1 : 1;
}

/** Both in order, and each event once: what is open may have been a partner of others before. */
function mergePlaces(kept: readonly Partner[], open: readonly Partner[]): Partner[] {
  if (open.length === 0) return [...kept];
  return [...kept, ...open]
    .sort(byPlace)
    .filter((one, index, all) => index === 0 || byPlace(one, all[index - 1] as Partner) !== 0);
}

const MICROS_PER_SECOND = 1_000_000;

const matchOf = ({ userId, left, right }: Pair): JoinMatchAnswer => ({
  user_id: userId,
  left_event_id: left.eventId,
  left_time: instantOf(left.timeMicros),
  right_event_id: right.eventId,
  right_time: instantOf(right.timeMicros),
  seconds: (right.timeMicros - left.timeMicros) / MICROS_PER_SECOND,
});
