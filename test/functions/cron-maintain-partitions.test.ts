import { createPool, finishWindows } from "@headrace/db";
import { cronHandler } from "@headrace/handler";
import { beforeEach, expect, test } from "vitest";
import { event, leaseOf, rowsOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";

const db = await testDatabase();
process.env.DATABASE_WORKER_URL = db.workerUrl;
const { handler } = await import("../../functions/cron/maintain-partitions.ts");
const worker = testPool(db.workerUrl, 2);

const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
const run = () => handler({}, context);

beforeEach(() => db.pool.query("truncate leases, dead_letters"));

test("this week's partition and those of the weeks ahead are there after a run", async () => {
  await db.pool.query("update settings set partition_weeks_ahead = 2");
  expect(await run()).toEqual({ ran: true });
  const wanted = [0, 7, 14].map((days) => {
    const day = new Date(Date.now() + days * 86_400_000);
    day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
    return `stream_events_${day.toISOString().slice(0, 10).replaceAll("-", "")}`;
  });
  const made = (
    await rowsOf(
      db.pool,
      "select relname as name from pg_class where relname like 'stream\\_events\\_2_______' and relkind = 'r'",
    )
  ).map(({ name }) => name);
  expect(made).toEqual(expect.arrayContaining(wanted));
});

test("the bytes of dead letters go after 30 days, the letters stay", async () => {
  await takeIn(worker, [{ broken: 1 }, { broken: 2 }], { topic: "d" });
  await db.pool.query(
    "update dead_letters set created_at = now() - interval '31 days' where record_offset = 0",
  );
  await run();
  expect(
    await rowsOf(
      db.pool,
      "select record_offset as at, code, bytes is null as gone from dead_letters order by 1",
    ),
  ).toEqual([
    { at: 0, code: expect.stringMatching(/^event\./), gone: true },
    { at: 1, code: expect.stringMatching(/^event\./), gone: false },
  ]);
});

test("states and rows of windows past their retention go, beside a finisher at work", async () => {
  await db.pool.query(
    "update settings set state_retention = '7 days', window_10s_retention = null, window_1m_retention = null",
  );
  const old = Date.now() - 20 * 86_400_000;
  await takeIn(
    worker,
    Array.from({ length: 200 }, (_, index) =>
      event({ event_time: new Date(old + index * 10_000).toISOString() }),
    ),
    { timestampMillis: old + 3_000_000 },
  );
  const lease = await leaseOf(worker, "finish-windows");
  while ((await finishWindows(worker, lease, 100)).folded > 0);
  await db.pool.query("update clock set watermark = now()");
  while ((await finishWindows(worker, lease, 100)).finalised > 0);
  await run();
  expect(
    await rowsOf(
      db.pool,
      "select size, count(state)::integer as states from realtime_aggregates where size in ('10s', '1m') group by 1 order by 1",
    ),
  ).toEqual([
    { size: "10s", states: 0 },
    { size: "1m", states: 0 },
  ]);
  await db.pool.query("update settings set window_10s_retention = '10 days'");
  await run();
  expect(await rowsOf(db.pool, "select distinct size from realtime_aggregates order by 1")).toEqual(
    [{ size: "1d" }, { size: "1h" }, { size: "1m" }],
  );
});

test("a run that fails is reported as it failed and gives its lease back", async () => {
  const failing = cronHandler(
    { name: "failing", run: () => Promise.reject(new Error("the run's own error")) },
    { pool: () => worker },
  );
  await expect(failing({}, context)).rejects.toThrow("the run's own error");
  expect(
    await rowsOf(
      db.pool,
      "select holder from leases where name = 'failing' and expires_at < now()",
    ),
  ).toEqual([{ holder: null }]);
});

test("a run whose lease cannot be given back still reports its own error", async () => {
  const broken = createPool({ connectionString: db.workerUrl, max: 1 });
  const failing = cronHandler(
    {
      name: "cut-off",
      async run() {
        await broken.end();
        throw new Error("the run's own error");
      },
    },
    { pool: () => broken },
  );
  await expect(failing({}, context)).rejects.toThrow("the run's own error");
});
