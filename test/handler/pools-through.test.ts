/** Connections that a proxy or pooler shares: against a stand-in for one before the real server. */
import { namesConstraint, sqlState } from "@headrace/db";
import {
  asAppError,
  closePools,
  config,
  createLogger,
  forgetConfig,
  openPool,
  type Purpose,
  pool,
  purposeSql,
  sqlOf,
  type Through,
  useLogger,
} from "@headrace/handler";
import { readHealth, readProgress, readWindows } from "@headrace/reports";
import { neonConfig } from "@neondatabase/serverless";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { testDatabase } from "../support/database.ts";
import { startTransactionPooler, type TransactionPooler } from "../support/transaction-pooler.ts";

const db = await testDatabase();

neonConfig.useSecureWebSocket = false;
neonConfig.pipelineConnect = false;
neonConfig.pipelineTLS = false;

const urls = { worker: db.workerUrl, reports: db.reportsUrl };
let log: string[] = [];

beforeEach(() => {
  log = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => log.push(String(text)) > 0);
  useLogger(createLogger({ level: "info", deployed: false }));
});
afterEach(async () => {
  await closePools();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  forgetConfig();
  useLogger(undefined);
});

/** A pooler for `purpose`, and the link that leads functions to it. */
async function pooler(through: Through, purpose: "worker" | "reports"): Promise<TransactionPooler> {
  const started = await startTransactionPooler(urls[purpose]);
  onTestFinished(async () => {
    await closePools();
    await started.close();
  });
  link(through, purpose, started.through(urls[purpose]));
  neonConfig.wsProxy = () => `127.0.0.1:${started.webSocketPort}/v1`;
  return started;
}

function link(through: Through, purpose: Purpose, url: string): void {
  const name = `Database${purpose[0]?.toUpperCase()}${purpose.slice(1)}Pooled`;
  vi.stubEnv("SST_RESOURCE_App", '{"name":"headrace","stage":"blue"}');
  vi.stubEnv(`SST_RESOURCE_${name}`, JSON.stringify({ url, through }));
  vi.stubEnv(`DATABASE_${purpose.toUpperCase()}_URL`, "");
  forgetConfig();
  expect(config().databases[purpose]?.through).toBe(through);
}

/** Ends the session that sleeps, after `before` was run. */
async function endSleeper(before: string): Promise<void> {
  const pid = await vi.waitFor(
    async () => {
      const { rows } = await db.pool.query<{ pid: number }>(
        "select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
      );
      expect(rows).toHaveLength(1);
      return rows[0]?.pid;
    },
    { interval: 20, timeout: 5_000 },
  );
  await db.pool.query(before);
  await db.pool.query("select pg_terminate_backend($1, 5000)", [pid]);
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "ok",
    (error: unknown) => asAppError(error).code,
  );

test("the stand-in holds what a pooler cannot give against whoever asks for it", async () => {
  const { record, through } = await pooler("server", "reports");
  const direct = openPool(through(db.reportsUrl), "reports", {
    maxConnections: 1,
    statementTimeoutMillis: 5_000,
  });
  onTestFinished(() => direct.end());
  const named = { name: "named", text: "select 1" };
  const asked = Promise.all([1, 2].map(() => direct.query(named)));
  await expect(asked).rejects.toThrow('prepared statement "named" does not exist');
  expect(record.statementNames).toEqual(["named"]);
  expect(Object.keys(record.starts[0] ?? {})).toEqual(
    expect.arrayContaining(["options", "statement_timeout"]),
  );
});

describe.each<Through>(["proxy", "pooler"])("through a %s", (through) => {
  test("nothing is asked that outlives a transaction: no option, no name, no setting, no cancel", async () => {
    const { record } = await pooler(through, "reports");
    const sql = sqlOf("reports");
    for (let i = 0; i < 3; i += 1) {
      await readProgress(sql);
      await readHealth(sql, "1.0.0");
      await sql.snapshot((moment) => readProgress(moment));
    }
    expect(new Set(record.transactions)).toEqual(new Set([0, 1]));
    expect(record.starts).not.toEqual([]);
    for (const parameters of record.starts) {
      expect(parameters).toEqual({
        application_name: "headrace reports",
        ...("client_encoding" in parameters ? { client_encoding: "UTF8" } : {}),
      });
    }
    expect(record.statementNames).toEqual([]);
    expect(record.cancelRequests).toBe(0);
    for (const statement of record.simpleStatements) {
      expect(statement.trim()).toMatch(
        /^(begin isolation level repeatable read|commit|select|with)\b/,
      );
    }
  });

  test("a report answers what it answers directly, and no digit is lost", async () => {
    await pooler(through, "reports");
    const direct = openPool(db.reportsUrl, "reports", { maxConnections: 1 });
    onTestFinished(() => direct.end());
    const range = {
      size: "10s",
      eventType: null,
      fromMicros: 0,
      toMicros: 1e15,
      after: undefined,
      limit: 10,
    } as const;
    const sql = sqlOf("reports");
    const expected = await readWindows(purposeSql(direct, { readOnly: true }), range);
    expect(await readWindows(sql, range)).toEqual(expected);
    const { rows } = await sql.query(
      `select timestamptz '2026-01-01 12:00:00.123456+02' as instant,
              9007199254740991::bigint as large,
              '\\x00ff'::bytea as bytes,
              array['é', null] as texts,
              $1::text as given`,
      ["ü"],
    );
    expect(rows).toEqual([
      {
        instant: 1767261600123456,
        large: 9007199254740991,
        bytes: Buffer.from([0, 255]),
        texts: ["é", null],
        given: "ü",
      },
    ]);
  });

  test("a snapshot sees one moment throughout", async () => {
    await pooler(through, "reports");
    const table = `moments_${through}`;
    await db.pool.query(`create table ${table} (at int)`);
    await db.pool.query(`grant select on ${table} to headrace_reports`);
    const counts = await sqlOf("reports").snapshot(async (client) => {
      const count = async () =>
        (await client.query<{ count: number }>(`select count(*) from ${table}`)).rows[0]?.count;
      const before = await count();
      await db.pool.query(`insert into ${table} values (1)`);
      return [before, await count()];
    });
    expect(counts).toEqual([0, 0]);
  });

  test("a statement past the role's own limit is cancelled and the connection goes on", async () => {
    await db.pool.query(
      `alter role headrace_reports in database ${db.name} set statement_timeout = '100ms'`,
    );
    const { record } = await pooler(through, "reports");
    await db.pool.query(
      `alter role headrace_reports in database ${db.name} reset statement_timeout`,
    );
    const sql = sqlOf("reports");
    expect(await codeOf(sql.query("select pg_sleep(10)"))).toBe("report.timeout");
    expect(await codeOf(sql.snapshot((client) => client.query("select pg_sleep(10)")))).toBe(
      "report.timeout",
    );
    expect((await sql.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(record.starts).toHaveLength(1);
    expect(record.cancelRequests).toBe(0);
  });

  test("an error of PostgreSQL keeps its SQLSTATE", async () => {
    await pooler(through, "worker");
    const failed = sqlOf("worker").query("select 'no number'::integer");
    expect(sqlState(await failed.catch((error: unknown) => error))).toBe("22P02");
    const broken = sqlOf("worker").query(
      "insert into leases (name, fence) values ('negative', -1)",
    );
    expect(namesConstraint(await broken.catch((error: unknown) => error))).toBe(true);
  });

  test("a reader's statement whose connection is lost is sent once more", async () => {
    const table = `naps_${through}`;
    await db.pool.query(`create table ${table} as select 10 as seconds`);
    await db.pool.query(`grant select on ${table} to headrace_reports`);
    await pooler(through, "reports");
    const asked = sqlOf("reports").query(
      `select pg_sleep(seconds) is not null as done from ${table}`,
    );
    // The one that runs has read its 10 s already; the next one reads 0.
    await endSleeper(`update ${table} set seconds = 0`);
    expect((await asked).rows).toEqual([{ done: true }]);
  });

  test("a writer's statement whose connection is lost is not sent again", async () => {
    await pooler(through, "worker");
    const asked = codeOf(sqlOf("worker").query("select pg_sleep(5)"));
    await endSleeper("select 1");
    expect(await asked).toBe("database.unavailable");
  });

  test("a role that does not speak UTC is refused, naming the remedy", async () => {
    await db.pool.query(
      `alter role headrace_reports in database ${db.name} set timezone = 'Europe/Berlin'`,
    );
    await pooler(through, "reports");
    await db.pool.query(`alter role headrace_reports in database ${db.name} reset timezone`);
    const asked = sqlOf("reports").query("select 1");
    await expect(asked).rejects.toMatchObject({
      code: "database.session",
      message: expect.stringContaining("has timezone Europe/Berlin"),
    });
  });

  test("waiting for a connection ends after 2 s", async () => {
    vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "headrace-blue-Reports");
    await pooler(through, "reports");
    const sql = sqlOf("reports");
    const asleep = sql.query("select pg_sleep(3)");
    expect(await codeOf(sql.query("select 1"))).toBe("database.busy");
    await asleep;
  });

  test("nothing that listens is 503", async () => {
    const { close } = await pooler(through, "reports");
    await close();
    expect(await codeOf(sqlOf("reports").query("select 1"))).toBe("database.unavailable");
  });

  test("a server that stops answering is given up once, and its connection with it", async () => {
    const { stall } = await pooler(through, "reports");
    const sql = sqlOf("reports");
    await sql.query("select 1");
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    let isSent = false;
    const asked = codeOf(
      sql.snapshot(async (client) => {
        stall();
        const answer = client.query("select 2");
        isSent = true;
        await answer;
      }),
    );
    // The driver gathers what it writes for a turn of the clock.
    while (!isSent) {
      await vi.advanceTimersByTimeAsync(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await vi.advanceTimersByTimeAsync(27_000);
    vi.useRealTimers();
    expect(await asked).toBe("report.timeout");
  });

  test("a writer looks before each statement and transaction whether the server was switched", async () => {
    const { record } = await pooler(through, "worker");
    const sql = sqlOf("worker");
    const epoch = async () =>
      (await sql.query<{ epoch: number }>("select current_epoch() as epoch")).rows[0]?.epoch;
    const before = (await epoch()) ?? 0;
    await db.pool.query("update epochs set system_identifier = system_identifier + 1");
    const inTransaction = await sql.transaction(
      async (client) =>
        (await client.query<{ epoch: number }>("select current_epoch() as epoch")).rows[0]?.epoch,
    );
    expect(inTransaction).toBe(before + 1);
    await db.pool.query("update epochs set system_identifier = system_identifier + 1");
    expect(await epoch()).toBe(before + 2);
    expect(record.starts).toHaveLength(1);
    expect(log.filter((line) => line.includes("the epoch was raised"))).toHaveLength(2);
  });
});

test("who needs a connection of its own refuses a pooler", () => {
  link("pooler", "worker", db.workerUrl);
  expect(() => pool("worker")).toThrow(
    "the database for worker is linked through a pooler: link the direct one to this function",
  );
});

test("a pool that is closed opens anew, through a pooler too", async () => {
  const { record } = await pooler("pooler", "reports");
  await sqlOf("reports").query("select 1");
  await closePools();
  await sqlOf("reports").query("select 1");
  expect(record.starts).toHaveLength(2);
});
