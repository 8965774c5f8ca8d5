/** Interval joins as a reader gets them, page by page, against plain loops over all raw events. */
import { type DeclaredJoin, type JoinVersion, rawFromOf, readJoins, type Sql } from "@headrace/db";
import { type JoinMatchesPage, type MatchPlace, readJoinMatches } from "@headrace/reports";
import type { Difference } from "./recompute.ts";

const EARLIEST = Date.UTC(1990, 0) * 1000;
const LATEST = Date.UTC(2100, 0) * 1000;
const MAX_LISTED = 1000;

/** `sql`: within one snapshot. Joins that answer, all of their time and three parts of it. */
export async function joinDifferences(sql: Sql): Promise<Difference[]> {
  const found: Difference[] = [];
  const oldest = Math.max(EARLIEST, await rawFromOf(sql));
  for (const { active } of await readJoins(sql)) {
    if (active === undefined) continue;
    const lefts = plainLefts(active, await readHalves(sql, active));
    const times = lefts.map(({ left }) => left.time);
    const part = (share: number): number => times[Math.floor(share * (times.length - 1))] ?? oldest;
    const ranges = [
      [oldest, LATEST],
      [part(0.3), part(0.8) + 1],
      [part(0.5), part(0.5) + 1],
      [part(0.2) + 1, part(0.9)],
    ] as const;
    for (const [from, to] of ranges) {
      if (from < oldest || from >= to) continue;
      const meant = lefts.filter(({ left }) => left.time >= from && left.time < to);
      found.push(...(await rangeDifferences(sql, active, meant, from, to)));
    }
  }
  return found;
}

interface Half extends Record<string, unknown> {
  readonly user_id: string;
  readonly event_type: string;
  readonly time: number;
  readonly event_id: string;
}

/** A left event and all its right ones, nearest first. */
interface PlainLeft {
  readonly left: Half;
  readonly rights: readonly Half[];
}

async function readHalves(sql: Sql, { leftType, rightType }: JoinVersion): Promise<Half[]> {
  const { rows } = await sql.query<Half>(
    `select user_id, event_type, event_time as time, event_id
     from stream_events
     where event_type in ($1, $2)
       and event_time >= (select raw_from from clock)
     order by event_time, event_id`,
    [leftType, rightType],
  );
  return rows;
}

function plainLefts(join: JoinVersion, halves: readonly Half[]): PlainLeft[] {
  const byUser = Map.groupBy(halves, ({ user_id }) => user_id);
  return halves
    .filter(({ event_type }) => event_type === join.leftType)
    .map((left) => ({
      left,
      rights: (byUser.get(left.user_id) ?? []).filter(
        (right) =>
          right.event_type === join.rightType &&
          right !== left &&
          right.time >= left.time &&
          right.time - left.time <= join.withinMicros,
      ),
    }));
}

async function rangeDifferences(
  sql: Sql,
  { name }: Pick<DeclaredJoin, "name">,
  lefts: readonly PlainLeft[],
  fromMicros: number,
  toMicros: number,
): Promise<Difference[]> {
  const what = `join ${name}`;
  const key = `${fromMicros}..${toMicros}`;
  const pages = await readPages(sql, name, fromMicros, toMicros);
  const actual = pages.flatMap(({ matches }) =>
    matches.map((it) => `${it.user_id} ${it.left_event_id} ${it.right_event_id} ${it.seconds}`),
  );
  const expected = lefts.flatMap(({ left, rights }) =>
    rights
      .slice(0, MAX_LISTED)
      .map(
        (it) =>
          `${left.user_id} ${left.event_id} ${it.event_id} ${(it.time - left.time) / 1_000_000}`,
      ),
  );
  const found: Difference[] = [];
  const at = expected.findIndex((text, index) => text !== actual[index]);
  if (at >= 0 || expected.length !== actual.length) {
    const first = at >= 0 ? at : expected.length;
    found.push({
      what,
      key: `${key} pair ${first}`,
      expected: expected[first],
      actual: actual[first],
    });
  }
  const total = lefts.reduce((sum, { rights }) => sum + rights.length, 0);
  for (const page of pages) {
    if (page.total !== total) {
      found.push({ what, key: `${key} total`, expected: total, actual: page.total });
    }
    const notListed = total - expected.length;
    if (page.not_listed !== notListed) {
      found.push({
        what,
        key: `${key} not_listed`,
        expected: notListed,
        actual: page.not_listed,
      });
    }
  }
  return found;
}

/** The first pages are small, so that they end anywhere. */
async function readPages(
  sql: Sql,
  name: string,
  fromMicros: number,
  toMicros: number,
): Promise<JoinMatchesPage[]> {
  const pages: JoinMatchesPage[] = [];
  for (let after: MatchPlace | undefined; ; ) {
    const page = await readJoinMatches(
      { query: sql.query.bind(sql), snapshot: (work) => work(sql) },
      { name, fromMicros, toMicros, after, limit: [1, 2, 3][pages.length] ?? 1000 },
    );
    pages.push(page);
    if (page.last === undefined) return pages;
    after = page.last;
  }
}
