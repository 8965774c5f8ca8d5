import type { Pool } from "@headrace/db";
import {
  asAppError,
  closePools,
  forgetConfig,
  openPool,
  type PoolLimits,
  type Purpose,
  type PurposeSql,
  pool,
  purposeSql,
  route,
  sqlOf,
} from "@headrace/handler";
import { silentLogger, unavailable } from "@headrace/kernel";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { testDatabase } from "../support/database.ts";
import { serve } from "./serve.ts";

const db = await testDatabase();
const open: Pool[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.end()));
});

function reports(limits: Partial<PoolLimits> = {}, url = db.reportsUrl): Pool {
  const opened = openPool(
    url,
    "reports",
    { maxConnections: 2, statementTimeoutMillis: 20_000, ...limits },
    undefined,
    () => silentLogger,
  );
  open.push(opened);
  return opened;
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "ok",
    (error: unknown) => asAppError(error).code,
  );

/** Ends the session that runs a statement holding `marker`, after `before` was run. */
async function terminateWhenActive(marker: string, before = "select 1"): Promise<void> {
  const pid = await vi.waitFor(
    async () => {
      const { rows } = await db.pool.query<{ pid: number }>(
        `select pid
         from pg_stat_activity
         where state = 'active' and wait_event = 'PgSleep' and query like $1`,
        [`%${marker}%`],
      );
      expect(rows).toHaveLength(1);
      return rows[0]?.pid;
    },
    { interval: 20, timeout: 5_000 },
  );
  await db.pool.query(before);
  await db.pool.query("select pg_terminate_backend($1, 5000)", [pid]);
}

describe("a connection", () => {
  test("speaks UTC, names itself, and loses no digit", async () => {
    const { rows } = await reports().query(
      `select current_setting('timezone') as zone,
              current_setting('datestyle') as style,
              current_setting('application_name') as name,
              current_setting('statement_timeout') as timeout,
              timestamptz '2026-01-01 12:00:00.123456+02' as instant,
              9007199254740991::bigint as large`,
    );
    expect(rows).toEqual([
      {
        zone: "UTC",
        style: expect.stringContaining("ISO"),
        name: "headrace reports",
        timeout: "20s",
        instant: 1767261600123456,
        large: 9007199254740991,
      },
    ]);
  });

  test("that is lost while idle harms nobody and is replaced", async () => {
    const opened = reports();
    const { rows } = await opened.query<{ pid: number }>("select pg_backend_pid() as pid");
    await db.pool.query("select pg_terminate_backend($1)", [rows[0]?.pid]);
    await vi.waitFor(() => expect(opened.totalCount).toBe(0));
    expect((await opened.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  });

  test("whose check fails is closed before its first use, and the next one is checked anew", async () => {
    let checks = 0;
    const opened = openPool(db.reportsUrl, "reports", { maxConnections: 1 }, async (connection) => {
      checks += 1;
      await connection.query("select 1");
      if (checks === 1) throw unavailable("epoch.unknown", "not now");
    });
    open.push(opened);
    expect(await codeOf(opened.query("select 1"))).toBe("epoch.unknown");
    expect(opened.totalCount).toBe(0);
    await Promise.all([opened.query("select 1"), opened.query("select 1")]);
    expect(checks).toBe(2);
  });
});

describe("a reader's statement", () => {
  test("that runs too long is cancelled and its connection goes on", async () => {
    const opened = reports({ statementTimeoutMillis: 100 });
    const sql = purposeSql(opened, { readOnly: true });
    const { rows } = await sql.query<{ pid: number }>("select pg_backend_pid() as pid");
    expect(await codeOf(sql.query("select pg_sleep(10)"))).toBe("report.timeout");
    expect((await sql.query("select pg_backend_pid() as pid")).rows).toEqual(rows);
  });

  test("whose connection is lost is sent once more", async () => {
    await db.pool.query("create table naps as select 10 as seconds");
    await db.pool.query("grant select on naps to headrace_reports");
    const sql = purposeSql(reports(), { readOnly: true });
    const asked = sql.query(
      "select pg_sleep(seconds) is not null as done from naps /* once_more */",
    );
    // The one that runs has read its 10 s already; the next one reads 0.
    await terminateWhenActive("once_more", "update naps set seconds = 0");
    expect((await asked).rows).toEqual([{ done: true }]);
  });

  test("whose connection is lost twice is given up", async () => {
    const sql = purposeSql(reports(), { readOnly: true });
    const asked = codeOf(sql.snapshot((client) => client.query("select pg_sleep(5), 'given_up'")));
    await terminateWhenActive("given_up");
    await terminateWhenActive("given_up");
    expect(await asked).toBe("database.unavailable");
  });

  test("sees one moment throughout a snapshot", async () => {
    await db.pool.query("create table moments (at int)");
    await db.pool.query("grant select on moments to headrace_reports");
    const sql = purposeSql(reports(), { readOnly: true });
    const counts = await sql.snapshot(async (client) => {
      const count = async () =>
        (await client.query<{ count: number }>("select count(*) from moments")).rows[0]?.count;
      const before = await count();
      await db.pool.query("insert into moments values (1)");
      return [before, await count()];
    });
    expect(counts).toEqual([0, 0]);
  });
});

test("a writer's statement whose connection is lost is not sent again", async () => {
  await db.pool.query("create table writes (at int)");
  const opened = openPool(db.ownerUrl, "worker", { maxConnections: 2 });
  open.push(opened);
  const sql = purposeSql(opened, { readOnly: false });
  const asked = codeOf(sql.query("insert into writes select 1 from pg_sleep(5) /* not_again */"));
  await terminateWhenActive("not_again");
  expect(await asked).toBe("database.unavailable");
  const { rows } = await db.pool.query("select count(*) from writes");
  expect(rows).toEqual([{ count: 0 }]);
});

describe("a request", () => {
  const routes = {
    "GET /sleep": route(
      { scope: "public", pool: "reports", answer: z.unknown() },
      async ({ sql }) => (await sql.query("select pg_sleep(3)")).rowCount,
    ),
    "GET /text": route(
      {
        scope: "public",
        pool: "reports",
        query: z.strictObject({
          text: z.string().transform((hex) => Buffer.from(hex, "hex").toString()),
        }),
        answer: z.unknown(),
      },
      async ({ sql, query }) => (await sql.query("select $1::text as text", [query.text])).rows,
    ),
    "GET /wrong": route(
      { scope: "public", pool: "reports", answer: z.unknown() },
      async ({ sql }) => (await sql.query("select * from nowhere")).rows,
    ),
  } as const;
  const served = async (url: string, limits: Partial<PoolLimits> = {}) => {
    const sql = purposeSql(reports(limits, url), { readOnly: true });
    return serve(routes, { sqlOf: (): PurposeSql => sql });
  };

  test("waits for a connection no longer than 2 s, then is 503 with a time to come back", async () => {
    const { get, close } = await served(db.reportsUrl, { maxConnections: 1 });
    const replies = [get("/sleep"), get("/sleep")];
    const refused = await Promise.race(replies);
    expect([refused.status, refused.body.code, refused.headers.get("retry-after")]).toEqual([
      503,
      "database.busy",
      "1",
    ]);
    expect((await Promise.all(replies)).map(({ status }) => status).toSorted()).toEqual([200, 503]);
    await close();
  });

  test.each([
    [
      "nothing listens",
      (url: URL) => {
        url.port = "1";
      },
    ],
    [
      "the password is wrong",
      (url: URL) => {
        url.password = "wrong";
      },
    ],
    [
      "the database does not exist",
      (url: URL) => {
        url.pathname = "/headrace_test_nowhere";
      },
    ],
  ])("is 503 when %s, and tells no address", async (_what, spoil) => {
    const url = new URL(db.reportsUrl);
    spoil(url);
    const { get, close } = await served(url.href);
    const reply = await get("/sleep");
    expect([reply.status, reply.body.code, reply.headers.get("retry-after")]).toEqual([
      503,
      "database.unavailable",
      "5",
    ]);
    expect(reply.text).not.toMatch(/127\.0\.0\.1|headrace_|password/);
    await close();
  });

  test("is 503 when the database takes no more connections", async () => {
    await db.pool.query(`alter database ${db.name} connection limit 0`);
    const { get, close } = await served(db.reportsUrl);
    const reply = await get("/wrong");
    await db.pool.query(`alter database ${db.name} connection limit -1`);
    expect([reply.status, reply.body.code]).toEqual([503, "database.busy"]);
    await close();
  });

  test("with text that PostgreSQL cannot hold is 400, a wrong statement is a bug", async () => {
    const { get, close } = await served(db.reportsUrl);
    expect((await get("/text?text=c3a9")).body).toEqual([{ text: "é" }]);
    const nul = await get("/text?text=610062");
    expect([nul.status, nul.body.code]).toEqual([400, "request.text"]);
    const wrong = await get("/wrong");
    expect([wrong.status, wrong.body.code]).toEqual([500, "bug.unexpected"]);
    expect(wrong.text).not.toContain("nowhere");
    await close();
  });
});

describe("the shared pools", () => {
  beforeEach(() => {
    vi.stubEnv("DATABASE_WORKER_URL", db.workerUrl);
    vi.stubEnv("DATABASE_REPORTS_URL", db.reportsUrl);
    vi.stubEnv("DATABASE_ORDERS_URL", "");
    forgetConfig();
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    forgetConfig();
    await closePools();
  });

  test("are one for each purpose, with its role, and open anew after they were closed", async () => {
    const userOf = async (purpose: Purpose) =>
      (await sqlOf(purpose).query<{ user: string }>("select current_user as user")).rows[0]?.user;
    expect([await userOf("worker"), await userOf("reports")]).toEqual([
      "headrace_worker",
      "headrace_reports",
    ]);
    const before = pool("reports");
    expect(pool("reports")).toBe(before);
    await closePools();
    expect(before.ended).toBe(true);
    expect(await userOf("reports")).toBe("headrace_reports");
  });

  test("a purpose without an address names the variable to set", () => {
    expect(() => pool("orders")).toThrow("DATABASE_ORDERS_URL is not set");
  });

  test("reports cannot write", async () => {
    await expect(sqlOf("reports").query("create temporary table t (a int)")).rejects.toThrow();
    await expect(
      sqlOf("reports").transaction((client) => client.query("create table public.t (a int)")),
    ).rejects.toThrow();
  });
});
