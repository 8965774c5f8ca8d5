/**
 * Random histories: events of few users in bursts, at the same time, and a limit apart, in batches of
 * several partitions and any order, some sent twice; slices of any size at any moment. After every
 * step the report must equal plain loops over the raw events.
 */
import {
  auditJoins,
  declareJoin,
  fillJoins,
  findJoins,
  inTransaction,
  type Lease,
  rebuildJoins,
} from "@headrace/db";
import { instantOf } from "@headrace/reports";
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { afterCut } from "../db/await-cut.ts";
import { event, leaseOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { joinDifferences } from "../support/recompute-joins.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 4);
const reader = testPool(db.reportsUrl, 1);

const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;
/** A Sunday evening: histories reach into the next week. */
const START = Date.UTC(2026, 0, 4, 22) * 1000;

let lease: Lease;
const find = (limit: number) => afterCut(worker, () => findJoins(worker, lease, limit));
beforeEach(async () => {
  await empty();
  await db.pool.query("delete from leases");
  lease = await leaseOf(worker, "find-joins");
});

async function empty(): Promise<void> {
  await db.pool.query(
    `delete from stream_events;
     delete from stream_batches;
     delete from stream_progress;
     delete from open_windows;
     delete from join_lefts;
     delete from join_rights;
     delete from join_counts;
     delete from joins where name not in ('login-purchase', 'view-cart') or version > 1;
     update joins set state = 'active', filled_from = '-infinity';
     update clock set watermark = null, raw_from = '-infinity'`,
  );
}

const differences = () => inTransaction(reader, "repeatable read", joinDifferences);
const RANGE = { fromMicros: START - 24 * 60 * MINUTE, toMicros: START + 24 * 60 * MINUTE };
const audited = () =>
  inTransaction(reader, "repeatable read", async (moment) =>
    (await auditJoins(moment, RANGE, 10)).flatMap((it) => it.differences),
  );
const declare = (name: string, leftType: string, rightType: string, withinMicros: number) =>
  inTransaction(worker, "read committed", (client) =>
    declareJoin(client, name, { leftType, rightType, withinMicros }),
  );

const one = fc.record({
  user: fc.integer({ min: 0, max: 2 }),
  type: fc.constantFrom("login", "purchase", "page_view", "page_view", "add_to_cart", "search"),
  atMicros: fc.oneof(
    fc.integer({ min: 0, max: 90 * MINUTE }),
    fc.integer({ min: 0, max: 40 }).map((n) => n * MINUTE),
    fc.constantFrom(0, 5 * MINUTE, 5 * MINUTE + 1, 30 * MINUTE, 30 * MINUTE + 1, 150 * MINUTE),
  ),
});

const batch = fc.record({
  kind: fc.constant("ingest" as const),
  partition: fc.integer({ min: 0, max: 2 }),
  events: fc.array(one, { minLength: 1, maxLength: 15 }),
  again: fc.boolean(),
});
const follow = fc.record({
  kind: fc.constant("follow" as const),
  limit: fc.constantFrom(1, 4, 1000),
});
const declareStep = fc.record({
  kind: fc.constant("declare" as const),
  name: fc.constantFrom("view-view", "view-cart", "search-any"),
  left: fc.constantFrom("page_view", "search"),
  right: fc.constantFrom("page_view", "add_to_cart", "purchase"),
  minutes: fc.constantFrom(1, 7, 60),
});
const fill = fc.record({ kind: fc.constant("fill" as const), limit: fc.constantFrom(1, 3, 100) });
/** Raw events before the hour are as good as gone. */
const expire = fc.record({ kind: fc.constant("expire" as const), hour: fc.constantFrom(0, 1) });
const step = fc.oneof(
  { weight: 6, arbitrary: batch },
  { weight: 4, arbitrary: follow },
  { weight: 1, arbitrary: declareStep },
  { weight: 3, arbitrary: fill },
  { weight: 1, arbitrary: expire },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

async function take(step: Step, sent: Record<string, unknown>[]): Promise<void> {
  if (step.kind === "ingest") {
    const events = step.events.map(({ user, type, atMicros }) =>
      event({ user_id: `u${user}`, event_type: type, event_time: instantOf(START + atMicros) }),
    );
    const repeated = step.again ? sent.slice(-5) : [];
    await takeIn(worker, [...events, ...repeated], { partition: step.partition });
    sent.push(...events);
  } else if (step.kind === "follow") {
    await find(step.limit);
  } else if (step.kind === "declare") {
    await declare(step.name, step.left, step.right, step.minutes * MINUTE);
  } else if (step.kind === "fill") {
    await fillJoins(worker, lease, step.limit);
  } else {
    await db.pool.query("update clock set raw_from = greatest(raw_from, $1)", [
      instantOf(START + step.hour * 60 * MINUTE),
    ]);
  }
}

test("joins equal plain loops over the events after every step of any history", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), async (steps) => {
      await empty();
      const sent: Record<string, unknown>[] = [];
      for (const step of steps) {
        await take(step, sent);
        expect(await differences()).toEqual([]);
      }
      while ((await find(7)) !== undefined);
      while (await fillJoins(worker, lease, 2));
      expect(await differences()).toEqual([]);
      expect(await audited()).toEqual([]);
    }),
    { numRuns: 25, endOnFailure: true },
  );
}, 120_000);

test("the audit finds a wrong row of every kind, and a rebuild repairs it", async () => {
  const at = (minutes: number, type: string, user = "u1") =>
    event({ user_id: user, event_type: type, event_time: instantOf(START + minutes * MINUTE) });
  await takeIn(worker, [
    at(0, "page_view"),
    at(3, "add_to_cart"),
    at(61, "page_view"),
    at(61, "add_to_cart"),
    at(62, "page_view", "u2"),
    at(62, "search", "u2"),
  ]);
  await find(100);
  expect(await audited()).toEqual([]);
  const planted = [
    "delete from join_lefts where left_time < '2026-01-04T22:30Z'",
    "update join_lefts set user_id = 'u9' where left_time > '2026-01-04T22:30Z'",
    "insert into join_lefts select join_id, left_time + interval '1 hour', left_event_id, user_id from join_lefts limit 1",
    "delete from join_rights where right_time < '2026-01-04T22:30Z'",
    "insert into join_rights select join_id, user_id, right_time + interval '1 second', right_event_id from join_rights limit 1",
    "update join_counts set matches = matches + 1 where size = '1m'",
    "update join_counts set not_listed = 7 where size = '1h'",
    "delete from join_counts where size = '1h'",
    "insert into join_counts values (1, '1m', '2026-01-04T23:59Z', 1, 0)",
  ];
  for (const text of planted) {
    expect((await db.pool.query(text)).rowCount).toBeGreaterThan(0);
    expect((await audited()).length, text).toBeGreaterThan(0);
    const progress: number[] = [];
    expect(await rebuildJoins(worker, RANGE, (micros) => progress.push(micros))).toBeGreaterThan(0);
    expect(progress.at(-1)).toBe(RANGE.toMicros);
    expect(await audited(), text).toEqual([]);
    expect(await differences(), text).toEqual([]);
  }
  expect(await rebuildJoins(worker, RANGE, () => {})).toBe(0);
});

test("a left event lists its 1,000 nearest right ones and counts the rest, also one by one", async () => {
  const rights = Array.from({ length: 1003 }, (_, n) =>
    event({ event_type: "purchase", event_time: instantOf(START + ((n * 7) % 1003) * 100_000) }),
  );
  await takeIn(worker, [event({ event_type: "login", event_time: instantOf(START) })]);
  await takeIn(worker, rights.slice(0, 1000));
  await find(1);
  await find(1);
  expect(await differences()).toEqual([]);
  await takeIn(worker, rights.slice(1000));
  expect(await differences()).toEqual([]);
  await find(1);
  expect(await differences()).toEqual([]);
  expect(await audited()).toEqual([]);
  const { rows } = await db.pool.query("select matches, not_listed from join_counts");
  expect(rows).toEqual(Array(2).fill({ matches: 1000, not_listed: 3 }));
});

test("thousands of events of one user at one time make one slice", async () => {
  const types = ["page_view", "add_to_cart"];
  const events = Array.from({ length: 5000 }, (_, n) =>
    event({ event_type: types[n % 2], event_time: instantOf(START) }),
  );
  await takeIn(worker, events);
  const pairs = 2500 * 2500;
  const expected = { matches: 2500 * 1000, not_listed: pairs - 2500 * 1000 };
  expect((await find(5000))?.rows).toBe(5000);
  const { rows } = await db.pool.query("select matches, not_listed from join_counts");
  expect(rows).toEqual([expected, expected]);
  expect(await audited()).toEqual([]);
});

test("two halves that commit at the same moment in two partitions are a pair", async () => {
  const [login, purchase] = [
    event({ event_type: "login", event_time: instantOf(START) }),
    event({ event_type: "purchase", event_time: instantOf(START + MINUTE) }),
  ];
  // Both have written, and neither sees the other: the last thing that a batch writes is held up.
  const holder = await db.pool.connect();
  await holder.query("begin; lock table stream_batches in share mode");
  const both = Promise.all([
    takeIn(worker, [login], { partition: 0 }),
    takeIn(worker, [purchase], { partition: 1 }),
  ]);
  await expect
    .poll(async () => {
      const { rows } = await db.pool.query(
        "select count(*)::integer as n from pg_locks where not granted and relation = 'stream_batches'::regclass",
      );
      return rows[0]?.n;
    })
    .toBe(2);
  await holder.query("commit");
  holder.release();
  await both;
  expect(await differences()).toEqual([]);
  await find(1);
  expect(await differences()).toEqual([]);
  await find(1);
  expect(await differences()).toEqual([]);
  const { rows } = await db.pool.query("select count(*)::integer as n from join_lefts");
  expect(rows).toEqual([{ n: 1 }]);
});

test("reads are right at every moment while the follower finds and fills", async () => {
  const types = ["page_view", "add_to_cart", "login", "purchase", "search"];
  for (let n = 0; n < 90; n += 1) {
    await takeIn(
      worker,
      Array.from({ length: 4 }, (_, i) =>
        event({
          user_id: `u${(n * i) % 4}`,
          event_type: types[(n + i) % 5],
          event_time: instantOf(START + ((n * 17 + i * 29) % 240) * MINUTE),
        }),
      ),
      { partition: n % 3 },
    );
  }
  await declare("view-cart", "page_view", "add_to_cart", 7 * MINUTE);
  let [working, looks] = [true, 0];
  const work = (async () => {
    while ((await find(1)) !== undefined) await fillJoins(worker, lease, 1);
    while (await fillJoins(worker, lease, 1));
    working = false;
  })();
  while (working) {
    expect(await differences()).toEqual([]);
    looks += 1;
  }
  await work;
  expect(looks).toBeGreaterThan(2);
  expect(await audited()).toEqual([]);
});

test("an open part that is said to be large is read by type and time, and gives the same", async () => {
  for (const [n, event_type] of ["purchase", "page_view", "login", "add_to_cart"].entries()) {
    await takeIn(worker, [
      event({ event_type, event_time: instantOf(START + n * MINUTE) }),
      event({ event_type, event_time: instantOf(START + (6 - n) * MINUTE) }),
    ]);
    if (n === 1) await find(4);
  }
  await db.pool.query("update stream_batches set rows = 50001");
  expect(await differences()).toEqual([]);
  const { rows } = await db.pool.query("select from join_lefts");
  expect(rows).toEqual([]);
});
