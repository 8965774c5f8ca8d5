import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPool, inTransaction, migrate, roleUrl } from "@headrace/db";
import { removePostgres, startPostgres } from "@headrace/local";
import { afterAll, expect, test } from "vitest";
import { event, isWaiting, rowsOf, takeIn, testPool } from "./take-in.ts";

const WEEKS = 60;
const REPORTS = 20;

const base = await mkdtemp(join(tmpdir(), "headrace-partitions-"));
// The product's own settings, but for the disk.
const server = await startPostgres({
  folder: join(base, "server"),
  password: "test",
  settings: { fsync: "off", full_page_writes: "off" },
});
await migrate(server.url);
const worker = testPool(roleUrl(server.url, "headrace_worker"), 2);
const reports = testPool(roleUrl(server.url, "headrace_reports"), REPORTS);
afterAll(async () => {
  await server.kill();
  await removePostgres(join(base, "server"));
  await rm(base, { recursive: true, force: true });
});

const NOW = Date.now();
const days = (count: number): string => new Date(NOW - count * 86_400_000).toISOString();
const REPORTS_OF_400_DAYS = [
  "select * from v_realtime_kpi",
  `select count(*), sum(event_count) from v_realtime_windows where window_start >= '${days(400)}'`,
  `select count(*) as events, count(distinct user_id) as users from stream_events where event_time >= '${days(400)}'`,
  `select event_type, count(*) from stream_events where user_id = 'u1' and event_time >= '${days(400)}' group by 1`,
];

test("20 reports at once over 400 days of partitions neither fail nor run out of locks", async () => {
  await worker.query(
    `select ensure_event_partitions(array(
       select (date_trunc('week', now() at time zone 'UTC') - make_interval(weeks => n))::date
       from generate_series(0, $1 - 1) as n
     ))`,
    [WEEKS],
  );
  await takeIn(
    worker,
    Array.from({ length: WEEKS - 2 }, (_, week) => event({ event_time: days(7 * week) })),
    { timestampMillis: NOW },
  );

  // All hold their locks at the same time: nobody ends before everybody has read.
  let reading = REPORTS;
  let everybodyHasRead = (): void => {};
  const barrier = new Promise<void>((resolve) => {
    everybodyHasRead = resolve;
  });
  const locks: number[] = [];
  const runs = await Promise.allSettled(
    Array.from({ length: REPORTS }, async () => {
      const client = await reports.connect();
      try {
        await client.query("begin");
        for (const text of REPORTS_OF_400_DAYS) await client.query(text);
        const { rows } = await client.query<{ held: number }>(
          "select count(*) as held from pg_locks where pid = pg_backend_pid()",
        );
        locks.push(rows[0]?.held ?? 0);
        reading -= 1;
        if (reading === 0) everybodyHasRead();
        await barrier;
        await client.query("commit");
      } catch (error) {
        everybodyHasRead();
        throw error;
      } finally {
        client.release();
      }
    }),
  );
  expect(runs.filter(({ status }) => status === "rejected")).toEqual([]);
  // Else the test would not have tried what it says.
  expect(Math.min(...locks)).toBeGreaterThan(WEEKS * 3);
  const [count] = await rowsOf(reports, REPORTS_OF_400_DAYS[2] ?? "");
  expect(count).toEqual({ events: WEEKS - 2, users: 1 });
});

test("a batch of one week locks that week's partition alone, however often events came twice", async () => {
  const owner = createPool({ connectionString: server.url, max: 2 });
  try {
    const twice = event({ event_time: days(0) });
    const take = (...events: Record<string, unknown>[]) =>
      takeIn(worker, events, { topic: "twice", timestampMillis: NOW });
    // As often as it takes for a connection to keep a plan for any times.
    for (let round = 0; round < 20; round += 1) await take(twice);
    let batch: Promise<unknown> | undefined;
    await inTransaction(owner, "read committed", async (blocker) => {
      await blocker.query("lock table dead_letters in exclusive mode");
      batch = take(twice, { unreadable: true });
      await expect.poll(() => isWaiting(owner)).toBe(true);
      const { rows } = await owner.query<{ relations: number }>(
        `select count(distinct relation) as relations from pg_locks
         where locktype = 'relation' and pid in (
           select pid from pg_stat_activity where wait_event_type = 'Lock' and usename = 'headrace_worker'
         )`,
      );
      expect(rows[0]?.relations).toBeGreaterThan(3);
      expect(rows[0]?.relations).toBeLessThan(WEEKS);
    });
    await batch;
  } finally {
    await owner.end();
  }
});
