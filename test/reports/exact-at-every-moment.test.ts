/**
 * Random histories: events in batches of several partitions, folds at any moment, windows that become
 * final, states and rows that are dropped. After every step both reports, asked through their
 * handler, must equal plain SQL over the raw events.
 */
import {
  createPool,
  expireWindows,
  finishWindows,
  ingestPartition,
  type Lease,
  takeLease,
} from "@headrace/db";
import type { KpiAnswer, WindowAnswer } from "@headrace/reports";
import { instantOf } from "@headrace/reports";
import { WINDOW_SIZES, type WindowSize } from "@headrace/windows";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { httpClient } from "../functions/http-client.ts";
import { testDatabase } from "../support/database.ts";
import { assertKpi, assertWindows, plainKpi, plainWindows } from "./plain-figures.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
const client = await httpClient(await import("../../functions/http/reports.ts"), ["reports:read"]);
const worker = createPool({ connectionString: db.workerUrl, max: 2 });
// Its database is dropped while a connection may still be saying goodbye.
worker.on("connect", (connection) => connection.on("error", () => {}));
afterAll(() => worker.end());

const SECOND = 1_000_000;
const DAY = 86_400 * SECOND;
const NOW = Math.floor(Date.now() / 1000) * SECOND;
const lease = (await takeLease(worker, "finish-windows", "test", 600)) as Lease;

/**
 * Days before now around which events lie: live; with states and columns; past the retention of
 * states (7 days), of 10 s rows (30 days), of 1 min rows (400 days).
 */
const ANCHORS = [0, 1, 8, 31, 401].map((days) => {
  const at = NOW - days * DAY - 200 * SECOND;
  // The last one before a day ends, so that events fall on both sides.
  return days === 8 ? Math.floor(at / DAY) * DAY - 60 * SECOND : at;
});
const TYPES = ["page_view", "purchase", "purchase", "add_to_cart", "zz.last", "a_first"];

type Made<Source> = Source extends fc.Arbitrary<infer Value> ? Value : never;

const event = fc.record({
  anchor: fc.constantFrom(...ANCHORS),
  afterMicros: fc.oneof(
    fc.integer({ min: 0, max: 130 * SECOND }),
    fc.constantFrom(0, 1, 9_999_999, 10_000_000, 59_999_999, 60_000_000, 119_999_999),
  ),
  type: fc.constantFrom(...TYPES),
  user: fc.integer({ min: 0, max: 12 }),
  value: fc.option(
    fc.oneof(
      fc.constantFrom(0, 1, -1, 2.5),
      fc.double({ min: -1e6, max: 1e6, noNaN: true }).filter((v) => v === 0 || Math.abs(v) > 1e-3),
    ),
  ),
  amountCents: fc.option(fc.integer({ min: 0, max: 999_999_999 })),
  duration: fc.option(fc.double({ min: 0, max: 3600, noNaN: true })),
});
type RandomEvent = Made<typeof event>;

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("ingest" as const),
      partition: fc.integer({ min: 0, max: 2 }),
      events: fc.array(event, { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("finish" as const),
      limit: fc.constantFrom(1, 3, 1000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("watermark" as const),
      micros: fc
        .tuple(fc.constantFrom(...ANCHORS), fc.integer({ min: 0, max: 130 }))
        .map(([anchor, seconds]) => anchor + seconds * SECOND),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("expire" as const) }) },
);
type Step = Made<typeof step>;

const look = fc.record({
  limit: fc.constantFrom(3, 20, 1000),
  type: fc.constantFrom(undefined, "purchase", "zz.last"),
  at: fc
    .tuple(fc.constantFrom(...ANCHORS), fc.integer({ min: 0, max: 400 * SECOND }))
    .map(([anchor, after]) => anchor + after),
  windowSeconds: fc.oneof(
    fc.constantFrom(10, 60, 90, 3600, 86_400),
    fc.integer({ min: 1, max: 8640 }).map((tens) => tens * 10),
  ),
});
type Look = Made<typeof look>;

const offsets = [0, 0, 0];

test("windows and kpi equal plain SQL after every step of any history", async () => {
  const aged = fc.option(fc.array(event, { minLength: 6, maxLength: 20 }));
  const history = fc.array(fc.tuple(step, look), { minLength: 4, maxLength: 14 });
  await fc.assert(
    fc.asyncProperty(aged, history, async (past, steps) => {
      await empty();
      if (past !== null) await age(past);
      const seen = new Map<string, Seen>();
      for (const [one, looking] of steps) {
        await take(one);
        await inspect(looking, seen);
      }
    }),
    { numRuns: 12, endOnFailure: true },
  );
}, 120_000);

/** Deletes rather than truncates: a few rows in many partitions. */
async function empty(): Promise<void> {
  await db.pool.query(
    `delete from stream_events;
     delete from stream_batches;
     delete from open_windows;
     delete from realtime_aggregates;
     update clock set watermark = null`,
  );
}

/** Rows that are final, and where they are old enough have no state, before the history begins. */
async function age(events: readonly RandomEvent[]): Promise<void> {
  await ingest(0, events);
  await finishWindows(worker, lease, 1000);
  await db.pool.query("update clock set watermark = $1", [instantOf(NOW - 2 * DAY)]);
  await finishWindows(worker, lease, 1000);
  await expireWindows(worker, lease, 1000);
}

async function take(one: Step): Promise<void> {
  if (one.kind === "ingest") await ingest(one.partition, one.events);
  else if (one.kind === "finish") await finishWindows(worker, lease, one.limit);
  else if (one.kind === "expire") await expireWindows(worker, lease, 1000);
  else {
    await db.pool.query("update clock set watermark = greatest(watermark, $1)", [
      instantOf(one.micros),
    ]);
  }
}

async function ingest(partition: number, events: readonly RandomEvent[]): Promise<void> {
  const firstOffset = offsets[partition] ?? 0;
  const records = events.map((one, index) => ({
    offset: firstOffset + index,
    timestampMillis: Date.now(),
    timestampType: "LOG_APPEND_TIME" as const,
    key: null,
    value: Buffer.from(
      JSON.stringify({
        event_time: instantOf(one.anchor + one.afterMicros),
        event_type: one.type,
        user_id: `u${one.user}`,
        value: one.value,
        amount: one.amountCents === null ? null : one.amountCents / 100,
        duration: one.duration,
      }),
    ),
  }));
  offsets[partition] = firstOffset + events.length;
  const stored = await ingestPartition(
    worker,
    { topic: "t", partition, firstOffset, lastOffset: firstOffset + events.length - 1, records },
    { horizonDays: 3650 },
  );
  expect(stored.deadLetters).toBe(0);
}

interface Seen {
  readonly revision: number | null;
  readonly figures: string;
  /** Whether the row was stored as final with nothing open: any later change is one more revision. */
  readonly stored: boolean;
}

async function inspect(looking: Look, seen: Map<string, Seen>): Promise<void> {
  for (const size of WINDOW_SIZES) {
    const plain = await plainWindows(db.pool, size);
    const windows = await listed(size, looking);
    const { type } = looking;
    assertWindows(windows, type ? plain.filter((one) => one.event_type === type) : plain);
    await assertRevisions(size, windows, seen);
  }
  const { at, windowSeconds } = looking;
  const answer = await client.get(
    `/v1/reports/kpi?window=${windowSeconds}s&at=${encodeURIComponent(instantOf(at))}`,
  );
  expect(answer.status).toBe(200);
  const { current, previous }: KpiAnswer = answer.body;
  const to = Math.ceil(at / (10 * SECOND)) * 10 * SECOND;
  const width = windowSeconds * SECOND;
  assertKpi(current, await plainKpi(db.pool, to - width, to));
  assertKpi(previous, await plainKpi(db.pool, to - 2 * width, to - width));
}

/** All pages, in ranges that the size allows. */
async function listed(size: WindowSize, { limit, type }: Look): Promise<WindowAnswer[]> {
  const windows: WindowAnswer[] = [];
  const edges = [NOW - 500 * DAY, NOW - 200 * DAY, NOW + DAY].map((micros) =>
    size === "1d" || size === "1h" ? Math.floor(micros / DAY) * DAY : micros,
  );
  for (const [at, from] of edges.slice(0, -1).entries()) {
    const query = `size=${size}&from=${instantOf(from)}&to=${instantOf(edges[at + 1] ?? 0)}&limit=${limit}${type ? `&event_type=${type}` : ""}`;
    let cursor: string | null = "";
    while (cursor !== null) {
      const answer = await client.get(
        `/v1/reports/windows?${query}${cursor === "" ? "" : `&cursor=${cursor}`}`,
      );
      expect(answer.status).toBe(200);
      expect(answer.body.windows.length).toBeLessThanOrEqual(limit);
      windows.push(...answer.body.windows);
      cursor = answer.body.next_cursor;
      expect(cursor === null || answer.body.windows.length === limit).toBe(true);
    }
  }
  return windows;
}

async function assertRevisions(
  size: WindowSize,
  windows: readonly WindowAnswer[],
  seen: Map<string, Seen>,
): Promise<void> {
  const { rows } = await db.pool.query<{ key: string }>(
    `select micros(window_start) || ' ' || event_type as key
     from realtime_aggregates
     where size = $1
       and final
       and not exists (select from open_windows)`,
    [size],
  );
  const storedFinal = new Set(rows.map(({ key }) => key));
  for (const { revision, final, ...window } of windows) {
    const key = `${size} ${window.window_start} ${window.event_type}`;
    const figures = JSON.stringify(window);
    const before = seen.get(key);
    expect(revision ?? -1).toBeGreaterThanOrEqual(before?.revision ?? -1);
    if (before?.stored && before.figures !== figures) {
      expect(revision ?? -1).toBeGreaterThan(before.revision ?? -1);
    }
    const stored = storedFinal.has(
      `${Date.parse(window.window_start) * 1000} ${window.event_type}`,
    );
    seen.set(key, { revision, figures, stored });
  }
}

test("reads are right at every moment while the finisher folds", async () => {
  await empty();
  const [anchor = 0] = ANCHORS;
  for (let batch = 0; batch < 30; batch += 1) {
    await ingest(
      batch % 3,
      Array.from({ length: 8 }, (_, n) => ({
        anchor,
        afterMicros: ((batch * 8 + n) % 13) * 10 * SECOND,
        type: TYPES[n % TYPES.length] ?? "page_view",
        user: (batch + n) % 13,
        value: n,
        amountCents: 100 + batch,
        duration: batch,
      })),
    );
  }
  const windows = () => listed("1m", { limit: 20, type: undefined, at: 0, windowSeconds: 10 });
  const strip = (list: readonly WindowAnswer[]) =>
    list.map(({ final, revision, ...window }) => window);
  const kpi = async () =>
    (await client.get(`/v1/reports/kpi?window=240s&at=${instantOf(anchor + 130 * SECOND)}`)).body;
  const [expectedWindows, expectedKpi] = [strip(await windows()), await kpi()];
  const to = Math.ceil((anchor + 130 * SECOND) / (10 * SECOND)) * 10 * SECOND;
  assertKpi(expectedKpi.current, await plainKpi(db.pool, to - 240 * SECOND, to));

  let folding = true;
  let looks = 0;
  const fold = (async () => {
    for (let folded = 1; folded > 0; ) folded = (await finishWindows(worker, lease, 2)).folded;
    folding = false;
  })();
  while (folding) {
    expect(await kpi()).toEqual(expectedKpi);
    expect(strip(await windows())).toEqual(expectedWindows);
    looks += 1;
  }
  await fold;
  expect(looks).toBeGreaterThan(3);
}, 60_000);
