import { inTransaction, requireLease, takeLease } from "@headrace/db";
import { type PacedCron, pulseHandler } from "@headrace/handler";
import { silentLogger } from "@headrace/kernel";
import { beforeEach, expect, test } from "vitest";
import { event, rowsOf, takeIn, testPool } from "../db/take-in.ts";
import { testClients } from "../kafka/clients.ts";
import { testDatabase } from "../support/database.ts";
import { uniqueTopic } from "../support/kafka.ts";

const db = await testDatabase();
const { admin, config } = await testClients();
const topic = uniqueTopic();
await admin.ensureTopic(topic, { partitions: 1 });
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = config.brokers.join();
process.env.EVENTS_TOPIC = topic;
const { handler } = await import("../../functions/cron/pulse.ts");
const worker = testPool(db.workerUrl, 6);
await db.pool.query(
  "update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null",
);
beforeEach(() => db.pool.query("truncate leases, stream_ends"));

/** An invocation whose time a test lets run out. */
function invocation() {
  let remaining = 180_000;
  return {
    context: { awsRequestId: "test", getRemainingTimeInMillis: () => remaining },
    runOut: () => {
      remaining = 4000;
    },
  };
}
const paced = (crons: readonly PacedCron[]) =>
  pulseHandler(crons, { pool: () => worker, log: silentLogger });
const until = (condition: () => unknown, timeout = 15_000) =>
  expect.poll(condition, { timeout, interval: 20 }).toBeTruthy();
const leases = async (): Promise<string[]> =>
  (
    await rowsOf(
      db.pool,
      "select name || ' ' || case when expires_at > now() then 'held' else 'free' end as text from leases order by 1",
    )
  ).map(({ text }) => String(text));

test("pulse runs the fast crons until its time runs out, and gives every lease back", async () => {
  const { context, runOut } = invocation();
  const run = handler({}, context);
  await takeIn(db.pool, [event()], { topic: "other" });
  await until(async () => (await rowsOf(db.pool, "select from open_windows")).length === 0);
  expect((await rowsOf(db.pool, "select from realtime_aggregates")).length).toBe(4);
  await until(async () => (await rowsOf(db.pool, "select from stream_ends")).length > 0);
  expect(await leases()).toEqual([
    "erase-users held",
    "fill-gaps held",
    "find-joins held",
    "finish-sessions held",
    "finish-windows held",
    "keep-statistics held",
    "pulse held",
    "refresh-segments held",
    "watch-progress held",
  ]);
  runOut();
  expect(await run).toEqual({ ran: true });
  expect((await leases()).filter((text) => text.endsWith("held"))).toEqual([]);
});

test("the next invocation takes over within two seconds, and the one before ends", async () => {
  const [first, second] = [invocation(), invocation()];
  let runs = 0;
  const pulse = paced([
    {
      name: "counted",
      every: 0.1,
      run: async () => {
        runs += 1;
      },
    },
  ]);
  const before = pulse({}, first.context);
  await until(() => runs > 2);
  const startedAt = performance.now();
  const after = pulse({}, second.context);
  expect(await before).toEqual({ ran: true });
  const seen = runs;
  await until(() => runs > seen);
  // Two looks of half a second; the rest is for a busy machine.
  expect(performance.now() - startedAt).toBeLessThan(4000);
  second.runOut();
  expect(await after).toEqual({ ran: true });
});

test("each cron runs at its own pace, and one that hangs or fails delays no other", async () => {
  const { context, runOut } = invocation();
  const runs = { fast: 0, slow: 0, failing: 0 };
  let hung = 0;
  const pulse = paced([
    {
      name: "fast",
      every: 0.1,
      run: async () => {
        runs.fast += 1;
      },
    },
    {
      name: "slow",
      every: 60,
      run: async () => {
        runs.slow += 1;
      },
    },
    {
      name: "failing",
      every: 0.1,
      run() {
        runs.failing += 1;
        return Promise.reject(new Error("always"));
      },
    },
    {
      name: "hanging",
      every: 0.1,
      run: ({ signal }) =>
        new Promise((resolve) => {
          hung += 1;
          signal.addEventListener("abort", () => resolve());
        }),
    },
  ]);
  const run = pulse({}, context);
  await until(() => runs.fast >= 10 && runs.failing >= 10);
  expect(runs.slow).toBe(1);
  expect(hung).toBe(1);
  runOut();
  await run;
});

test("the lease of a holder that was killed is taken over after it ends", async () => {
  await takeLease(db.pool, "pulse", "killed", 1);
  await takeLease(db.pool, "counted", "killed", 1.5);
  const { context, runOut } = invocation();
  let runs = 0;
  const pulse = paced([
    {
      name: "counted",
      every: 0.1,
      run: async () => {
        runs += 1;
      },
    },
  ]);
  const startedAt = performance.now();
  const run = pulse({}, context);
  await until(() => runs > 0);
  expect(performance.now() - startedAt).toBeGreaterThan(1000);
  expect(await rowsOf(db.pool, "select name, fence from leases order by 1")).toEqual([
    { name: "counted", fence: 2 },
    { name: "pulse", fence: 2 },
  ]);
  runOut();
  await run;
});

test("an invocation that never gets its turn ends without having run anything", async () => {
  await takeLease(db.pool, "pulse", "another", 60);
  const { context, runOut } = invocation();
  let runs = 0;
  const pulse = paced([
    {
      name: "counted",
      every: 0.1,
      run: async () => {
        runs += 1;
      },
    },
  ]);
  const run = pulse({}, context);
  await until(
    async () => (await rowsOf(db.pool, "select from leases where waiting is not null")).length > 0,
  );
  runOut();
  expect(await run).toEqual({ ran: false });
  expect(runs).toBe(0);
});

test("a cron whose lease another runner took over stops writing, and goes on when it is free", async () => {
  const { context, runOut } = invocation();
  const runs = { fenced: 0, beat: 0 };
  const pulse = paced([
    {
      name: "fenced",
      every: 0.1,
      async run({ pool, lease }) {
        await inTransaction(pool, "read committed", (client) => requireLease(client, lease));
        runs.fenced += 1;
      },
    },
    {
      name: "beat",
      every: 0.1,
      run: async () => {
        runs.beat += 1;
      },
    },
  ]);
  const run = pulse({}, context);
  await until(() => runs.fenced > 2);
  await db.pool.query(
    `update leases
     set fence = fence + 1, holder = 'another', expires_at = now() + interval '1 minute'
     where name = 'fenced'`,
  );
  const [fenced, beat] = [runs.fenced, runs.beat];
  await until(() => runs.beat > beat + 5);
  // One run may have been allowed before the takeover, and counted after.
  expect(runs.fenced).toBeLessThanOrEqual(fenced + 1);
  await db.pool.query("update leases set expires_at = '-infinity' where name = 'fenced'");
  await until(() => runs.fenced > fenced + 3);
  runOut();
  await run;
});

test("a database that drops every connection does not end the pulse", async () => {
  const { context, runOut } = invocation();
  let runs = 0;
  let ended = false;
  const pulse = paced([
    {
      name: "asking",
      every: 0.1,
      async run({ pool }) {
        await pool.query("select");
        runs += 1;
      },
    },
  ]);
  const run = pulse({}, context).finally(() => {
    ended = true;
  });
  await until(() => runs > 2);
  for (let round = 0; round < 5; round += 1) {
    await db.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and usename = 'headrace_worker'`,
    );
    const seen = runs;
    await until(() => runs > seen + 5);
  }
  expect(ended).toBe(false);
  runOut();
  expect(await run).toEqual({ ran: true });
});
