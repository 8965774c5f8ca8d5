/**
 * Random histories: events in batches of several partitions, some sent twice, slices of any size,
 * dimensions that change at any moment, moves in slices. After every step the report, finished and
 * open, equals a recomputation from raw rows, and the audit finds nothing.
 */
import {
  type Audited,
  addSegmentEvents,
  advanceMoves,
  auditGroups,
  auditSegmentWindows,
  followGroupChanges,
  hasSegmentWork,
  instantText,
  inTransaction,
  putProducts,
  putUsers,
  rebuildSegments,
  SEGMENTS_FOLLOWER,
  type Sql,
} from "@headrace/db";
import fc from "fast-check";
import { expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { segmentDifferences } from "../support/recompute-segments.ts";
import { awaitCut } from "./await-cut.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl);
const reader = testPool(db.reportsUrl);

const MINUTE = 60_000_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A Sunday evening: the next week's partition begins four hours later. */
const START = Date.UTC(2026, 0, 4, 20) * 1000;
const EVER = { fromMicros: START - 40 * DAY, toMicros: START + 40 * DAY };

const randomEvent = fc.record({
  minutes: fc.oneof(
    fc.integer({ min: 0, max: 100 }),
    fc.constantFrom(0, 59, 60, 239, 240, 241, 3 * 1440, 12 * 1440),
  ),
  user: fc.integer({ min: 0, max: 4 }),
  type: fc.constantFrom("page_view", "purchase", "add_to_cart"),
  product: fc.option(fc.integer({ min: 0, max: 3 })),
  value: fc.option(fc.constantFrom(0, 1, -1, 2.5, 0.1, 0.2, 1e15, -1e-9)),
  cents: fc.option(fc.constantFrom(0, 1, 1999, 999_999_999_999)),
});
type RandomEvent = typeof randomEvent extends fc.Arbitrary<infer Value> ? Value : never;

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("ingest" as const),
      partition: fc.integer({ min: 0, max: 2 }),
      events: fc.array(randomEvent, { minLength: 1, maxLength: 12 }),
      again: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("follow" as const),
      limit: fc.constantFrom(1, 5, 100),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("user" as const),
      user: fc.integer({ min: 0, max: 5 }),
      segment: fc.constantFrom<string | null>(null, "gold", "new"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("product" as const),
      product: fc.integer({ min: 0, max: 4 }),
      category: fc.constantFrom("shoes", "books"),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("changes" as const),
      by: fc.constantFrom("segment" as const, "category" as const),
      events: fc.constantFrom(0, 3, 1000),
      keys: fc.constantFrom(1, 100),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("move" as const),
      events: fc.constantFrom(1, 1000),
      deltas: fc.constantFrom(1, 1000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rebuild" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

const lease = await leaseOf(worker, SEGMENTS_FOLLOWER, 600);

async function empty(): Promise<void> {
  await db.pool.query(
    `delete from stream_events;
     delete from stream_batches;
     delete from segment_windows;
     delete from segment_deltas;
     delete from segment_moves;
     delete from user_segments;
     delete from product_categories;
     delete from dim_users;
     delete from dim_products`,
  );
}

const eventOf = ({ minutes, user, type, product, value, cents }: RandomEvent) =>
  event({
    event_time: instantText(START + minutes * MINUTE),
    event_type: type,
    user_id: `u${user}`,
    ...(product === null ? {} : { product_id: `p${product}` }),
    ...(value === null ? {} : { value }),
    ...(cents === null
      ? {}
      : { amount: `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}` }),
  });

async function take(one: Step): Promise<void> {
  switch (one.kind) {
    case "ingest": {
      const events = one.events.map(eventOf);
      const stored = await takeIn(worker, events, { partition: one.partition });
      expect(stored.deadLetters).toBe(0);
      if (one.again) await takeIn(worker, events, { partition: (one.partition + 1) % 3 });
      return;
    }
    case "follow":
      await addSegmentEvents(worker, lease, one.limit);
      return;
    case "user":
      await putUsers(worker, [
        {
          userId: `u${one.user}`,
          name: "n",
          segment: one.segment,
          region: null,
          registeredMicros: null,
        },
      ]);
      return;
    case "product":
      await putProducts(worker, [
        {
          productId: `p${one.product}`,
          name: "n",
          category: one.category,
          price: "1.00",
          stock: null,
          reorderPoint: null,
        },
      ]);
      return;
    case "changes":
      await followGroupChanges(worker, lease, one.by, { events: one.events, keys: one.keys });
      return;
    case "move":
      await advanceMoves(worker, lease, one);
      return;
    case "rebuild":
      expect(
        await rebuildSegments(worker, { fromMicros: START, toMicros: START + HOUR }, () => {}),
      ).toBe(0);
  }
}

const audited = async (sql: Sql, limit: number): Promise<Audited[]> => [
  ...(await auditSegmentWindows(sql, EVER, limit)),
  ...(await auditGroups(sql, limit)),
];

async function assertExact(): Promise<void> {
  const found = await inTransaction(reader, "repeatable read", async (moment) => [
    ...(await segmentDifferences(moment)),
    ...(await audited(moment, 10)).flatMap(({ differences }) => differences),
  ]);
  expect(found).toEqual([]);
}

async function followAll(): Promise<void> {
  await awaitCut(worker);
  while (await hasSegmentWork(worker)) {
    await addSegmentEvents(worker, lease, 7);
    await followGroupChanges(worker, lease, "segment", { events: 5, keys: 2 });
    await followGroupChanges(worker, lease, "category", { events: 5, keys: 2 });
    await advanceMoves(worker, lease, { events: 4, deltas: 5 });
  }
}

test("after every step of any history the report equals a recomputation from raw rows", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      await empty();
      for (const one of steps) {
        await take(one);
        await assertExact();
      }
      await followAll();
      await assertExact();
      const counted = await rowsOf(
        db.pool,
        "select user_id, segment from user_segments order by 1",
      );
      const wanted = "select user_id, segment from dim_users where segment is not null order by 1";
      expect(counted).toEqual(await rowsOf(db.pool, wanted));
    }),
    { numRuns: 15, endOnFailure: true },
  );
}, 240_000);

const FIVE = [
  { minutes: 0, user: 0, type: "page_view", product: 0, value: 1, cents: null },
  { minutes: 10, user: 1, type: "page_view", product: 1, value: null, cents: null },
  { minutes: 70, user: 0, type: "purchase", product: 0, value: 0.1, cents: 1999 },
  { minutes: 241, user: 2, type: "page_view", product: null, value: null, cents: null },
  { minutes: 3 * 1440, user: 1, type: "purchase", product: 1, value: 2.5, cents: 1 },
] as const;

const putUser = (user: number, segment: string | null) => take({ kind: "user", user, segment });
const found = async () => {
  const results = await audited(reader, 3);
  return Object.fromEntries(results.map(({ what, differences }) => [what, differences.length]));
};
const SOUND = {
  "segments 1h": 0,
  "segments 1d": 0,
  "segments of users": 0,
  "categories of products": 0,
};

test.each([
  [
    "a count too high",
    "update segment_windows set event_count = event_count + 1 where size = '1h'",
  ],
  [
    "a user too many",
    "update segment_windows set distinct_users = distinct_users + 1 where size = '1d'",
  ],
  [
    "a row too many",
    "insert into segment_windows values ('segment', '1h', '2026-01-04T20:00Z', 'x', 'page_view', 1, 1, 0, 0, 0)",
  ],
  ["a row too few", "delete from segment_windows where size = '1d'"],
  ["money gone", "update segment_windows set revenue = revenue + 0.01"],
  [
    "a delta in force that nothing needs",
    `with move as (
       insert into segment_moves (by, key, to_group, staged_until, in_force)
       values ('segment', 'nobody', '', 'infinity', true)
       returning move_id
     )
     insert into segment_deltas
     select move_id, '1h', '2026-01-04T20:00Z', 'y', 'page_view', 1, 1, 0, 0, 0
     from move`,
  ],
])("the audit finds %s, and the rebuild repairs it", async (_, planting) => {
  await empty();
  await putUser(0, "gold");
  await take({ kind: "ingest", partition: 0, events: [...FIVE], again: false });
  await followAll();
  expect(await found()).toEqual(SOUND);
  await db.pool.query(planting);
  expect(await found()).not.toEqual(SOUND);
  const moments: number[] = [];
  const range = { fromMicros: START, toMicros: START + 4 * DAY };
  expect(
    await rebuildSegments(worker, range, (micros) => moments.push(micros)),
  ).toBeGreaterThanOrEqual(planting.includes("with move") ? 0 : 1);
  expect(moments.length).toBeGreaterThan(3);
  await assertExact();
  expect(await rebuildSegments(worker, range, () => {})).toBe(0);
});

test("the audit finds a user who is counted under a segment that is not his", async () => {
  await empty();
  await putUser(0, "gold");
  await followAll();
  await db.pool.query("update user_segments set segment = 'lead'");
  expect(await found()).toEqual({ ...SOUND, "segments of users": 1 });
  await putUser(0, "silver");
  expect(await found()).toEqual(SOUND);
});

test("a key that changes while it is moved is moved once more when that has ended", async () => {
  await empty();
  await take({ kind: "ingest", partition: 0, events: [...FIVE], again: false });
  await followAll();
  const changes = () => take({ kind: "changes", by: "segment", events: 0, keys: 100 });
  await putUser(0, "gold");
  await changes();
  await take({ kind: "move", events: 1, deltas: 1 });
  await putUser(0, "new");
  await changes();
  await followAll();
  await assertExact();
  const counted = await rowsOf(db.pool, "select user_id, segment from user_segments");
  expect(counted).toEqual([{ user_id: "u0", segment: "new" }]);
});

test("nothing older than raw events begin changes its group", async () => {
  await empty();
  await take({ kind: "ingest", partition: 0, events: [...FIVE], again: false });
  await followAll();
  await db.pool.query("update clock set raw_from = '2026-01-05T00:00:00Z'");
  for (const user of [0, 1, 2]) await putUser(user, "gold");
  await followAll();
  await db.pool.query("update clock set raw_from = '-infinity'");
  const text = `select micros(window_start) as at, "group" from segment_windows where by = 'segment' and size = '1d' order by 1, 2`;
  const groups = (await rowsOf(db.pool, text)).map(({ at, group }) => [
    (Number(at) - START) / DAY > 0,
    group,
  ]);
  expect(groups).toEqual([
    [false, ""],
    [false, ""],
    [true, "gold"],
    [true, "gold"],
  ]);
});
