/**
 * GET /v1/reports/funnel: how many users go through a row of steps, and how fast.
 *
 * Read from raw events in one snapshot, so it is exact at every moment. Whether a type has been seen
 * before makes no difference: a step that nobody took is a step with no users.
 */
import { instantText, type Sql } from "@headrace/db";
import { invalid } from "@headrace/kernel";
import { bestAttempt, floorTo, WINDOW_MICROS } from "@headrace/windows";
import * as z from "zod";
import {
  type FunnelEventsQuery,
  type FunnelField,
  fieldText,
  groupHash,
  readFunnelEvents,
} from "./funnel-events.ts";
import { FunnelStep, FunnelTally } from "./funnel-tally.ts";
import type { ReportSql } from "./report-sql.ts";

export const FunnelGroup = z.strictObject({
  /** null: the first step's event has none. */
  value: z.string().nullable(),
  /** All groups beyond the limit together, under the value `other`, which a group may also have. */
  is_rest: z.boolean(),
  steps: z.array(FunnelStep),
});
export type FunnelGroup = z.output<typeof FunnelGroup>;

export const FunnelAnswer = z.strictObject({
  steps: z.array(FunnelStep),
  /** From the first step to the last. */
  overall_rate: z.number().nullable(),
  /** By number of users, then value; without `by`, none. */
  groups: z.array(FunnelGroup),
});
export type FunnelAnswer = z.output<typeof FunnelAnswer>;

export interface FunnelQuery {
  /** Event types in order; one may come more than once. */
  readonly steps: readonly string[];
  readonly withinMicros: number;
  /** The first step's events lie in [from, to), µs. */
  readonly fromMicros: number;
  readonly toMicros: number;
  readonly by: FunnelField | undefined;
  /** Groups at most, but for the rest of them. */
  readonly groupLimit: number;
}

/** Throws `funnel.too_large` where the steps have more events than fit in memory. */
export function readFunnel(sql: ReportSql, query: FunnelQuery): Promise<FunnelAnswer> {
  const types = [...new Set(query.steps)];
  const { fromMicros, toMicros, withinMicros, by } = query;
  const events = { types, fromMicros, toMicros, withinMicros, by };
  return sql.snapshot(async (moment) => {
    await requireFewEvents(moment, events);
    const attempts = await readAttempts(moment, query, events);
    const total = new FunnelTally(query.steps.length);
    attempts.forEach((_, gaps) => {
      total.add(gaps);
    });
    return {
      steps: total.stepsOf(query.steps),
      overall_rate: total.overallRate(),
      groups: by === undefined ? [] : await readGroups(moment, query, by, attempts),
    };
  });
}

/** 16 or 24 bytes each, and as much again while they are put together. */
const MAX_EVENTS = 20_000_000;

/** Counted in hours, which are kept for ever and cost nothing beside the events. */
async function requireFewEvents(moment: Sql, query: FunnelEventsQuery): Promise<void> {
  const { types, fromMicros, toMicros, withinMicros } = query;
  const { rows } = await moment.query<{ events: number }>(
    `select coalesce(sum(event_count), 0)::bigint as events
     from realtime_aggregates
     where size = '1h'
       and event_type = any ($1)
       and window_start >= $2
       and window_start < $3`,
    [
      types,
      instantText(floorTo(fromMicros, WINDOW_MICROS["1h"])),
      instantText(toMicros + withinMicros),
    ],
  );
  const events = rows[0]?.events ?? 0;
  if (events > MAX_EVENTS) {
    const message = `the steps have ${events} events in this range; ${MAX_EVENTS} can be read`;
    throw invalid("funnel.too_large", message, { faults: [{ path: "/from", message }] });
  }
}

/** Each user's attempt that counts, one behind the other: group, number of gaps, gaps. */
class Attempts {
  readonly #packed: number[] = [];
  readonly #groups = new Map<bigint, number>();
  readonly #users: number[] = [];

  add(group: bigint, reached: readonly number[], steps: number): void {
    let place = this.#groups.get(group);
    if (place === undefined) {
      place = this.#users.push(0) - 1;
      this.#groups.set(group, place);
    }
    this.#users[place] = (this.#users[place] ?? 0) + 1;
    this.#packed.push(place, steps - 1);
    for (let step = 1; step < steps; step += 1) {
      this.#packed.push((reached[step] ?? 0) - (reached[step - 1] ?? 0));
    }
  }

  /** Hash, users, and the place that `forEach` calls it by. */
  groups(): { readonly hash: bigint; readonly users: number; readonly place: number }[] {
    return [...this.#groups].map(([hash, place]) => ({
      hash,
      users: this.#users[place] ?? 0,
      place,
    }));
  }

  forEach(onAttempt: (group: number, gaps: readonly number[]) => void): void {
    const packed = this.#packed;
    for (let at = 0; at < packed.length; ) {
      const begin = at + 2;
      const end = begin + (packed[at + 1] ?? 0);
      onAttempt(packed[at] ?? 0, packed.slice(begin, end));
      at = end;
    }
  }
}

async function readAttempts(
  moment: Sql,
  { steps, withinMicros, toMicros, by }: FunnelQuery,
  events: FunnelEventsQuery,
): Promise<Attempts> {
  const rule = {
    steps: steps.map((step) => events.types.indexOf(step)),
    withinMicros,
    startsBeforeMicros: toMicros,
  };
  const attempts = new Attempts();
  const reached: number[] = [];
  await readFunnelEvents(moment, events, (user) => {
    const count = bestAttempt(rule, user.times, reached);
    if (count === 0) return;
    attempts.add(by === undefined ? 0n : user.groupAt(reached[0] ?? 0), reached, count);
  });
  return attempts;
}

async function readGroups(
  moment: Sql,
  query: FunnelQuery,
  by: FunnelField,
  attempts: Attempts,
): Promise<FunnelGroup[]> {
  const { steps, groupLimit } = query;
  const found = attempts.groups().sort((a, b) => b.users - a.users);
  const least = found[groupLimit - 1]?.users ?? 0;
  // As many as have no fewer users than the last one that is shown: their values decide.
  const candidates = found.filter(({ users }) => users >= least);
  const named = await readValues(moment, query, by, candidates);
  const tallies = new Map<number, FunnelTally>();
  for (const { hash, place } of candidates) {
    if (named.has(hash)) tallies.set(place, new FunnelTally(steps.length));
  }
  const rest = new FunnelTally(steps.length);
  attempts.forEach((place, gaps) => {
    (tallies.get(place) ?? rest).add(gaps);
  });
  const placeOf = new Map(candidates.map(({ hash, place }) => [hash, place]));
  const groups: FunnelGroup[] = [...named].map(([hash, value]) => ({
    value,
    is_rest: false,
    steps: tallies.get(placeOf.get(hash) ?? -1)?.stepsOf(steps) ?? [],
  }));
  if (found.length <= named.size) return groups;
  return [...groups, { value: "other", is_rest: true, steps: rest.stepsOf(steps) }];
}

/** The values of the groups that are shown, by hash, in the order in which they are shown. */
async function readValues(
  moment: Sql,
  { steps, fromMicros, toMicros, groupLimit }: FunnelQuery,
  by: FunnelField,
  candidates: readonly { readonly hash: bigint; readonly users: number }[],
): Promise<Map<bigint, string | null>> {
  const values: unknown[] = [
    steps[0],
    instantText(fromMicros),
    instantText(toMicros),
    candidates.map(({ hash }) => String(hash)),
    candidates.map(({ users }) => users),
    groupLimit,
  ];
  const field = fieldText(by, values);
  const { rows } = await moment.query<{ hash: string; value: string | null }>(
    `with candidate as materialized (
       select hash, users
       from unnest($4::bigint[], $5::bigint[]) as given (hash, users)
     ),
     named as (
       select ${groupHash(field)} as hash, min(${field}) as value
       from stream_events
       where event_type = $1
         and event_time >= $2
         and event_time < $3
         and ${groupHash(field)} = any ($4::bigint[])
       group by 1
     )
     select hash::text, left(value, ${MAX_VALUE_CHARACTERS}) as value
     from candidate
     join named using (hash)
     order by users desc, value collate "C"
     limit $6`,
    values,
  );
  return new Map(rows.map(({ hash, value }) => [BigInt(hash), value]));
}

/** What `data` holds may be long; the answer is not. */
const MAX_VALUE_CHARACTERS = 256;
