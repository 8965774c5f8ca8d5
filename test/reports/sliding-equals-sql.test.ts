/**
 * Random histories of events, taken in late and in several batches, folded or not, some of their
 * windows gone: after each batch the points of all three kinds of frame, page by page, must be those
 * of SQL's own window functions over the same rows.
 */
import { finishWindows, inTransaction } from "@headrace/db";
import {
  instantOf,
  type ReportSql,
  readSlidingRange,
  type SlidingPoint,
  type SlidingQuery,
} from "@headrace/reports";
import fc from "fast-check";
import { expect, test } from "vitest";
import { event, leaseOf, takeIn, testPool } from "../db/take-in.ts";
import { httpClient } from "../functions/http-client.ts";
import { testDatabase } from "../support/database.ts";
import { exactMoments } from "../windows/exact.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
const client = await httpClient(await import("../../functions/http/reports.ts"), ["reports:read"]);
const worker = testPool(db.workerUrl);
const lease = await leaseOf(worker, "finish-windows", 600);

const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;
/** 40 minutes before a day and a week end, so that frames cross both. */
const START = Date.parse("2026-01-04T23:20:00Z") * 1000;
const LENGTH = 80 * MINUTE;

type Made<Source> = Source extends fc.Arbitrary<infer Value> ? Value : never;

const moment = fc.oneof(
  fc.integer({ min: 0, max: LENGTH / MINUTE - 1 }).map((minute) => minute * MINUTE),
  fc.integer({ min: 0, max: LENGTH / SECOND - 1 }).map((second) => second * SECOND),
  fc.integer({ min: 0, max: LENGTH - 1 }),
  // Beside each other, around a window's edge.
  fc.integer({ min: -3, max: 3 }).map((apart) => 40 * MINUTE + apart),
);
const value = fc.oneof(
  fc.constantFrom(null, 0, 1, -1, 1e300, -1e300, 1.7e308, -1.7e308, 1e-300),
  fc.integer({ min: -1000, max: 1000 }),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }),
);
const batch = fc.record({
  events: fc.array(
    fc.record({ at: moment, value, type: fc.constantFrom("spent", "spent", "spent", "viewed") }),
    { minLength: 1, maxLength: 25 },
  ),
  /** How many open states are folded afterwards. */
  fold: fc.constantFrom(0, 3, 1000),
  /** What is then missing. */
  lose: fc.constantFrom("nothing", "nothing", "states", "10s windows"),
});
const look = fc.record({
  rows: fc.constantFrom(1, 2, 10, 10_000),
  range: fc.constantFrom(1, 10, 15, 65, 300, 3600),
  step: fc.constantFrom(10, 30, 60, 600),
  from: fc.constantFrom(0, 1, 25 * MINUTE + 7, 40 * MINUTE, 41 * MINUTE),
  length: fc.constantFrom(LENGTH, 20 * MINUTE + 1, MINUTE),
  limit: fc.constantFrom(1, 4, 1000),
});
type Look = Made<typeof look>;

test("points equal SQL's window functions after every batch of any history", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(batch, look), { minLength: 1, maxLength: 5 }),
      async (history) => {
        await empty();
        for (const [taken, looking] of history) {
          await take(taken);
          await inspect(looking);
        }
      },
    ),
    { numRuns: 40, endOnFailure: true },
  );
}, 120_000);

test("a page is cut short where too many events enter and leave, and the next one goes on", async () => {
  await empty();
  await takeIn(
    worker,
    Array.from({ length: 1200 }, (_, second) =>
      event({ event_time: instantOf(START + second * SECOND), event_type: "spent", value: second }),
    ),
  );
  await finishWindows(worker, lease, 1000);
  const pool = testPool(db.reportsUrl, 1);
  const sql: ReportSql = {
    query: (text, values) => pool.query(text, values),
    snapshot: (work) => inTransaction(pool, "repeatable read", work),
  };
  const page = (after: SlidingQuery["after"], limit: number, rawLimit: number) =>
    readSlidingRange(
      sql,
      { eventType: "spent", fromMicros: START, toMicros: START + LENGTH, after, limit, rawLimit },
      300 * SECOND,
    );
  const whole = await page(undefined, 1200, 10_000);
  expect([whole.points.length, whole.last]).toEqual([1200, undefined]);

  const points: SlidingPoint[] = [];
  let pages = 0;
  for (let after: SlidingQuery["after"]; pages === 0 || after !== undefined; pages += 1) {
    const one = await page(after, 1000, 60);
    points.push(...one.points);
    after = one.last;
  }
  expect(points).toEqual(whole.points);
  expect(pages).toBeGreaterThan(20);
  await expect(page(undefined, 1000, 1)).rejects.toMatchObject({ code: "sliding.too_dense" });
});

test("windows whose sums are beyond the doubles cancel out, with their states and without", async () => {
  await empty();
  const at = (seconds: number, value: number) =>
    event({ event_time: instantOf(START + seconds * SECOND), event_type: "spent", value });
  await takeIn(worker, [
    ...[at(31, 1.7e308), at(32, 1.7e308), at(41, -1.7e308), at(42, -1.7e308), at(55, 3)],
    ...[at(60, 4), at(61, 5)],
  ]);
  await finishWindows(worker, lease, 1000);
  const asked = `event_type=spent&from=${instantOf(START + 60 * SECOND)}&to=${instantOf(START + LENGTH)}&range=40s`;
  const expected = [
    [7, 7 / 6],
    [12, 12 / 7],
  ];
  const figures = async () =>
    (await listed(asked, 10)).map(({ moving_sum, moving_mean }) => [moving_sum, moving_mean]);
  expect(await figures()).toEqual(expected);
  await db.pool.query("update realtime_aggregates set state = null");
  expect(await figures()).toEqual(expected);
});

test("frames hold nothing from before raw events begin", async () => {
  await empty();
  await takeIn(
    worker,
    Array.from({ length: 80 }, (_, minute) =>
      event({ event_time: instantOf(START + minute * MINUTE), event_type: "spent", value: minute }),
    ),
  );
  await finishWindows(worker, lease, 1000);
  const monday = instantOf(START + 40 * MINUTE);
  await db.pool.query(`update clock set raw_from = '${monday}'`);
  await db.pool.query("delete from stream_events where event_time < $1", [monday]);
  const to = instantOf(START + LENGTH);
  for (const [frame, sql] of [
    ["range=3600s", "order by event_time range '1 hour' preceding"],
    ["rows=30", "order by event_time, event_id rows 29 preceding"],
  ] as const) {
    assertPoints(
      await listed(`event_type=spent&from=${monday}&to=${to}&${frame}`, 7),
      await plainPoints(sql, monday, to),
    );
  }
});

test("frames of rows reach back as far as they must, over weeks and whatever the type", async () => {
  await empty();
  const days = Array.from({ length: 40 }, (_, day) => START - day * 86_400 * SECOND);
  const before = days.flatMap((day, place) => [
    event({ event_time: instantOf(day - 5), event_type: "spent", value: place }),
    event({ event_time: instantOf(day), event_type: "spent", value: place % 3 === 0 ? null : 1 }),
  ]);
  await takeIn(worker, before);
  const looks = async () => {
    for (const rows of [1, 2, 3, 7, 30, 79, 80, 81, 10_000]) {
      const [from, to] = [instantOf(START - 5), instantOf(START + LENGTH)];
      assertPoints(
        await listed(`event_type=spent&from=${from}&to=${to}&rows=${rows}`, 1),
        await plainPoints(`order by event_time, event_id rows ${rows - 1} preceding`, from, to),
      );
    }
  };
  await looks();
  await finishWindows(worker, lease, 20);
  await looks();
  await finishWindows(worker, lease, 1000);
  await looks();
  // As it would be had a thousand types come before it.
  await db.pool.query(
    `delete from event_types where event_type = 'spent';
     update realtime_aggregates set event_type = 'other', event_count = event_count + 100`,
  );
  try {
    await looks();
    const [from, to] = [instantOf(START - 5), instantOf(START + LENGTH)];
    assertPoints(
      await listed(`event_type=spent&from=${from}&to=${to}&range=172800s`, 2),
      await plainPoints("order by event_time range '2 days' preceding", from, to),
    );
  } finally {
    await db.pool.query("insert into event_types (event_type) values ('spent')");
  }
});

async function empty(): Promise<void> {
  await db.pool.query(
    `delete from stream_events;
     delete from stream_batches;
     delete from open_windows;
     delete from realtime_aggregates;
     update clock set raw_from = '-infinity';
     update settings set window_10s_retention = null`,
  );
}

async function take({ events, fold, lose }: Made<typeof batch>): Promise<void> {
  await takeIn(
    worker,
    events.map(({ at, value, type }) =>
      event({ event_time: instantOf(START + at), event_type: type, value }),
    ),
  );
  if (fold > 0) await finishWindows(worker, lease, fold);
  if (lose === "states") {
    await db.pool.query("update realtime_aggregates set state = null where size in ('10s', '1m')");
  } else if (lose === "10s windows") {
    await db.pool.query(
      `delete from realtime_aggregates where size = '10s';
       update settings set window_10s_retention = '1 day'`,
    );
  }
}

async function inspect({ rows, range, step, from, length, limit }: Look): Promise<void> {
  const [fromText, toText] = [instantOf(START + from), instantOf(START + from + length)];
  const asked = `event_type=spent&from=${fromText}&to=${toText}`;
  assertPoints(
    await listed(`${asked}&rows=${rows}`, limit),
    await plainPoints(`order by event_time, event_id rows ${rows - 1} preceding`, fromText, toText),
  );
  assertPoints(
    await listed(`${asked}&range=${range}s`, limit),
    await plainPoints(`order by event_time range '${range} seconds' preceding`, fromText, toText),
  );
  const wide = Math.max(10, Math.round(range / 10) * 10);
  assertPoints(
    await listed(`${asked}&range=${wide}s&step=${step}s`, Math.max(limit, 50)),
    await plainSteps(wide, step, fromText, toText),
  );
}

async function listed(query: string, limit: number): Promise<SlidingPoint[]> {
  const points: SlidingPoint[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const answer = await client.get(
      `/v1/reports/sliding?${query}&limit=${limit}${cursor && `&cursor=${cursor}`}`,
    );
    expect([answer.status, answer.body.code]).toEqual([200, undefined]);
    expect(answer.body.points.length).toBeLessThanOrEqual(limit);
    points.push(...answer.body.points);
    cursor = answer.body.next_cursor;
    if (cursor !== null) expect(answer.body.points.length).toBe(limit);
  }
  return points;
}

interface PlainPoint {
  readonly event_time: number;
  readonly event_id: string | null;
  readonly value: readonly (number | null)[];
  readonly frame: readonly (number | null)[] | null;
}

async function plainPoints(frame: string, from: string, to: string): Promise<PlainPoint[]> {
  const { rows } = await db.pool.query<PlainPoint>(
    `select *
     from (
       select event_time, event_id, array[value] as value, array_agg(value) over (${frame}) as frame
       from stream_events
       where event_type = 'spent'
     ) as points
     where event_time >= $1
       and event_time < $2
     order by event_time, event_id`,
    [from, to],
  );
  return rows;
}

async function plainSteps(
  range: number,
  step: number,
  from: string,
  to: string,
): Promise<PlainPoint[]> {
  const inFrame = (seconds: number) => `
    select array_agg(value)
    from stream_events
    where event_type = 'spent'
      and event_time >= ends - interval '${seconds} seconds'
      and event_time < ends`;
  const { rows } = await db.pool.query<PlainPoint>(
    `select
       ends as event_time,
       null as event_id,
       coalesce((${inFrame(step)}), array[]::double precision[]) as value,
       (${inFrame(range)}) as frame
     from generate_series(
       date_bin('${step} seconds', $1::timestamptz, 'epoch'),
       $2::timestamptz,
       interval '${step} seconds'
     ) as ends
     where ends >= $1
       and ends < $2
     order by ends`,
    [from, to],
  );
  return rows;
}

const TOLERANCE = 1e-9;

function assertPoints(points: readonly SlidingPoint[], plain: readonly PlainPoint[]): void {
  expect(points.map(({ event_time, event_id }) => [event_time, event_id])).toEqual(
    plain.map(({ event_time, event_id }) => [instantOf(event_time), event_id]),
  );
  for (const [place, point] of points.entries()) {
    const expected = plain[place] as PlainPoint;
    assertFigure(point.value, expected.value, ({ sum }) => sum);
    assertFigure(point.moving_sum, expected.frame ?? [], ({ sum }) => sum);
    assertFigure(point.moving_mean, expected.frame ?? [], ({ mean }) => mean);
  }
}

type Exact = ReturnType<typeof exactMoments>;

function assertFigure(
  actual: number | null,
  frame: readonly (number | null)[],
  figure: (exact: Exact) => number,
): void {
  const values = frame.filter((one) => one !== null);
  const exact = values.length === 0 ? null : exactMoments(values);
  const expected = exact === null ? null : figure(exact);
  if (expected === null || !Number.isFinite(expected)) {
    expect(actual).toBe(null);
    return;
  }
  const size = Math.min(exact?.sumOfSizes ?? 0, Number.MAX_VALUE);
  expect(Math.abs((actual as number) - expected)).toBeLessThanOrEqual(size * TOLERANCE);
}
