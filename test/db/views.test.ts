import { createPool, finishWindows } from "@headrace/db";
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { assertClose } from "../support/close.ts";
import { testDatabase } from "../support/database.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 2);
const reports = testPool(db.reportsUrl, 2);
await db.pool.query(
  "update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null",
);

beforeEach(() =>
  db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, open_windows, realtime_aggregates, leases`,
  ),
);
const finish = async (limit: number) => {
  await db.pool.query("truncate leases");
  return finishWindows(worker, await leaseOf(worker, "finish-windows"), limit);
};

interface Row extends Record<string, unknown> {
  readonly window_start: number;
  readonly event_type: string;
  readonly final: boolean;
  readonly revision: number | null;
}

const view = async (): Promise<Row[]> =>
  (await rowsOf(
    reports,
    "select * from v_realtime_windows order by window_start, event_type",
  )) as Row[];

/** Plain SQL over raw rows; no part of the view. */
const plain = (): Promise<Record<string, unknown>[]> =>
  rowsOf(
    db.pool,
    `select
       date_bin('10 seconds', event_time, 'epoch') as window_start,
       date_bin('10 seconds', event_time, 'epoch') + interval '10 seconds' as window_end,
       event_type,
       count(*) as event_count,
       count(value) as value_count,
       sum(value) as value_sum,
       avg(value) as value_mean,
       min(value) as value_min,
       max(value) as value_max,
       stddev_samp(value) as value_stddev,
       percentile_disc(0.5) within group (order by value) as value_p50,
       count(distinct user_id) as distinct_users,
       coalesce(sum(amount_cents), 0)::numeric / 100 as revenue,
       avg(duration) as duration_mean,
       count(*) filter (where late_class > 0) as late_events
     from stream_events
     group by 1, 2, 3
     order by 1, 3`,
  );

async function expectViewIsPlain(): Promise<void> {
  const [actual, expected] = [await view(), await plain()];
  expect(actual).toHaveLength(expected.length);
  for (const [index, row] of expected.entries()) {
    const got: Record<string, unknown> = actual[index] ?? {};
    const exact = ["window_start", "window_end", "event_type", "event_count", "value_count"];
    for (const name of [...exact, "value_min", "value_max", "distinct_users", "late_events"]) {
      expect(got[name], name).toBe(row[name]);
    }
    expect(Number(got.revenue)).toBe(Number(row.revenue));
    const magnitude = 1e-9 * 1e5 * Number(row.event_count);
    for (const name of ["value_sum", "value_mean", "duration_mean", "value_stddev"]) {
      assertClose(got[name] as number | null, row[name] as number | null, { absolute: magnitude });
    }
  }
}

const START = Date.UTC(2026, 0, 1, 10);
const arbitrary = fc.record({
  event_type: fc.constantFrom("page_view", "purchase"),
  user_id: fc.constantFrom("a", "b", "c"),
  event_time: fc.integer({ min: 0, max: 39 }).map((s) => new Date(START + s * 1000).toISOString()),
  value: fc.option(fc.double({ min: -1e5, max: 1e5, noNaN: true })),
  amount: fc.option(fc.integer({ min: 0, max: 9999 }).map((cents) => (cents / 100).toFixed(2))),
  duration: fc.option(fc.double({ min: 0, max: 1e4, noNaN: true })),
});

test("v_realtime_windows equals plain SQL over raw rows, open, half folded and finished", async () => {
  const [events] = fc.sample(fc.array(arbitrary, { minLength: 120, maxLength: 120 }), {
    numRuns: 1,
    seed: 20260101,
  });
  const all = (events ?? []).map(event);
  for (let from = 0; from < all.length; from += 20) {
    await takeIn(worker, all.slice(from, from + 20));
  }
  await expectViewIsPlain();
  for (const limit of [1, 9, 1000]) {
    await finish(limit);
    await expectViewIsPlain();
  }
  expect(await rowsOf(db.pool, "select from open_windows")).toEqual([]);
});

test("ranks in v_realtime_windows are those of the contract, before folding and, within 1 %, after", async () => {
  const values = Array.from({ length: 11 }, (_, index) => 100 + index);
  await takeIn(
    worker,
    values.toReversed().map((value) => event({ value })),
  );
  const ranks = async () => {
    const [row] = await view();
    return [row?.value_p50, row?.value_p95, row?.value_p99] as number[];
  };
  expect(await ranks()).toEqual([105, 109, 109]);
  await finish(100);
  const finished = await ranks();
  for (const [index, exact] of [105, 109, 109].entries()) {
    assertClose(finished[index] ?? null, exact, { relative: 0.01 });
  }
});

test("final and revision in v_realtime_windows count open rows of a final row as its next revision", async () => {
  const standing = async () => (await view()).map(({ final, revision }) => ({ final, revision }));
  await takeIn(worker, [event()]);
  expect(await standing()).toEqual([{ final: false, revision: null }]);
  await db.pool.query("update clock set watermark = '2026-01-01T00:00:10Z'");
  expect(await standing()).toEqual([{ final: true, revision: 0 }]);
  await finish(10);
  expect(await standing()).toEqual([{ final: true, revision: 0 }]);
  await takeIn(worker, [event()]);
  expect(await standing()).toEqual([{ final: true, revision: 1 }]);
  await finish(10);
  expect(await standing()).toEqual([{ final: true, revision: 1 }]);
  await db.pool.query("update clock set watermark = null");
});

test("types beyond the registered ones are one window named other", async () => {
  await takeIn(worker, [event({ event_type: "known" })]);
  await db.pool.query(
    "insert into event_types (event_type) select 'filler_' || n from generate_series(1, 999) as n",
  );
  // A process that starts now.
  const later = createPool({ connectionString: db.workerUrl, max: 2 });
  try {
    await takeIn(later, [event({ event_type: "x" }), event({ event_type: "y" })]);
    const types = async () => (await view()).map((row) => `${row.event_type} ${row.event_count}`);
    expect(await types()).toEqual(["known 1", "other 2"]);
    await finish(10);
    expect(await types()).toEqual(["known 1", "other 2"]);
  } finally {
    await later.end();
    await db.pool.query("delete from event_types where event_type like 'filler%'");
  }
});

test("values whose sum leaves the range of a double make null, not an error", async () => {
  const more = { value: 1.5e308, duration: 1.5e308, event_time: new Date().toISOString() };
  await takeIn(worker, [event(more), event(more)]);
  const [row] = await view();
  expect(row).toMatchObject({ value_sum: null, value_min: 1.5e308, value_max: 1.5e308 });
  assertClose(row?.value_mean as number, 1.5e308, { relative: 1e-9 });
  await rowsOf(reports, "select * from v_realtime_kpi");
});

test("v_realtime_kpi tells the last full minute as plain SQL does", async () => {
  const [clock] = await rowsOf(
    db.pool,
    "select extract(epoch from date_trunc('minute', now()))::bigint as minute",
  );
  const minute = Number(clock?.minute) * 1000;
  const at = (second: number, more: Record<string, unknown>) =>
    event({ event_time: new Date(minute + second * 1000).toISOString(), ...more });
  await takeIn(worker, [
    at(-61, { event_type: "purchase", amount: "1000" }),
    at(-60, { user_id: "a", duration: 4, amount: "7.00" }),
    at(-59, { user_id: "b", duration: 8 }),
    at(-30, { user_id: "a", event_type: "purchase", amount: "12.34", duration: 100 }),
    at(-0.001, { user_id: "c", event_type: "purchase", amount: "0.01" }),
    at(0, { event_type: "purchase", amount: "1000" }),
  ]);
  const answer = await rowsOf(reports, "select * from v_realtime_kpi");
  expect(answer).toEqual([
    {
      from: (minute - 60_000) * 1000,
      to: minute * 1000,
      events: 4,
      unique_users: 3,
      revenue: "12.35",
      purchases: 2,
      mean_session_duration: 6,
    },
  ]);
});

test("v_realtime_kpi of a minute without events is zeros and null", async () => {
  expect(
    await rowsOf(reports, "select events, revenue, mean_session_duration from v_realtime_kpi"),
  ).toEqual([{ events: 0, revenue: "0.00", mean_session_duration: null }]);
});
