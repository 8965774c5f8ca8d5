/** The pairs of half a year of a shop's events, whatever the order and the partitions they come in. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import {
  auditJoins,
  declareJoin,
  fillJoins,
  findJoins,
  inTransaction,
  type Lease,
} from "@headrace/db";
import { type JoinMatchesPage, type MatchPlace, readJoinMatches } from "@headrace/reports";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { afterCut } from "../db/await-cut.ts";
import { leaseOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { realInput } from "../support/real-input.ts";

const shop = realInput("ecom.csv.gz");
const given = realInput("ecom.expected.json");

interface Expected {
  readonly left: string;
  readonly right: string;
  readonly within_minutes: number;
  readonly pairs: number;
  readonly users: number;
}

describe.skipIf(shop.isMissing || given.isMissing)(shop.named("a shop's half year"), async () => {
  const db = await testDatabase();
  const worker = testPool(db.workerUrl);
  const reader = testPool(db.reportsUrl, 1);
  // Read when the file is loaded, also where the tests are skipped.
  const events = shop.isMissing ? [] : shopEvents();
  const joins: readonly Expected[] = given.isMissing
    ? []
    : JSON.parse(readFileSync(given.path, "utf8")).interval_joins;
  const nameOf = ({ left, right }: Expected): string => `${left}-${right}`.replaceAll(".", "_");

  let lease: Lease;
  const find = (limit: number) => afterCut(worker, () => findJoins(worker, lease, limit));
  beforeEach(async () => {
    await db.pool.query(
      `truncate stream_events, stream_batches, stream_progress, open_windows, leases,
         join_lefts, join_rights, join_counts, joins`,
    );
    lease = await leaseOf(worker, "find-joins");
  });

  const declareAll = async (): Promise<void> => {
    for (const join of joins) {
      await inTransaction(worker, "read committed", (client) =>
        declareJoin(client, nameOf(join), {
          leftType: join.left,
          rightType: join.right,
          withinMicros: join.within_minutes * 60_000_000,
        }),
      );
    }
    while (await fillJoins(worker, lease, 1000));
  };
  const send = async (list: readonly Record<string, unknown>[]): Promise<void> => {
    for (let from = 0; from < list.length; from += 2000) {
      const partition = (from / 2000) % 8;
      await takeIn(worker, list.slice(from, from + 2000), { partition });
    }
  };
  const assertPairs = async (): Promise<void> => {
    for (const join of joins) {
      const pages = await pagesOf(nameOf(join));
      const users = pages.flatMap(({ matches }) => matches.map(({ user_id }) => user_id));
      expect([users.length, new Set(users).size, pages[0]?.total]).toEqual([
        join.pairs,
        join.users,
        join.pairs,
      ]);
    }
  };
  const pagesOf = async (name: string): Promise<JoinMatchesPage[]> => {
    const pages: JoinMatchesPage[] = [];
    for (let after: MatchPlace | undefined; ; ) {
      const page = await inTransaction(reader, "repeatable read", (moment) =>
        readJoinMatches(
          { query: moment.query.bind(moment), snapshot: (work) => work(moment) },
          { name, ...YEAR, after, limit: 250 },
        ),
      );
      pages.push(page);
      if (page.last === undefined) return pages;
      after = page.last;
    }
  };
  const audited = () =>
    inTransaction(reader, "repeatable read", async (moment) =>
      (await auditJoins(moment, YEAR, 5)).flatMap((it) => it.differences),
    );

  const [seed] = fc.sample(fc.integer(), 1);
  const [shuffled = []] = fc.sample(fc.shuffledSubarray(events, { minLength: events.length }), {
    seed: seed as number,
    numRuns: 1,
  });
  test.each([
    ["as it was written", events],
    ["backwards", events.toReversed()],
    [`in random order (seed ${seed})`, shuffled],
  ])("sent %s it has the pairs that another program found", async (_, list) => {
    await declareAll();
    await send(list.slice(0, 20_000));
    while ((await find(6000)) !== undefined);
    await send(list.slice(18_000));
    await assertPairs();
    while ((await find(6000)) !== undefined);
    await assertPairs();
    expect(await audited()).toEqual([]);
  });

  test("joins that are declared afterwards have them too", async () => {
    await send(events);
    while ((await find(20_000)) !== undefined);
    await declareAll();
    await assertPairs();
    expect(await audited()).toEqual([]);
  });
});

const YEAR = {
  fromMicros: Date.UTC(2024, 0) * 1000,
  toMicros: Date.UTC(2025, 0) * 1000,
};

/** Its times have no offset and are UTC. */
function shopEvents(): Record<string, unknown>[] {
  const [header = "", ...lines] = gunzipSync(readFileSync(shop.path)).toString("utf8").split("\n");
  const names = header.trim().split(",");
  return lines
    .filter((line) => line !== "")
    .map((line, index) => {
      const fields = line.trim().split(",");
      const field = (name: string): string => fields[names.indexOf(name)] ?? "";
      return {
        event_id: `00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`,
        event_time: `${field("timestamp").replace(" ", "T")}Z`,
        event_type: field("event"),
        user_id: field("user_id"),
      };
    });
}
