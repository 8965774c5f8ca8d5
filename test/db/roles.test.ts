import { randomBytes } from "node:crypto";
import { migrate, type Pool, type Role, roleUrl, sqlState } from "@headrace/db";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { event, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 2);
const orders = testPool(roleUrl(db.ownerUrl, "headrace_orders"), 2);
const reports = testPool(db.reportsUrl, 2);
const pools: Record<Role, Pool> = {
  headrace_worker: worker,
  headrace_orders: orders,
  headrace_reports: reports,
};
const ROLES = Object.keys(pools) as Role[];
await takeIn(worker, [event()]);

/** Settings as a new connection of the role finds them, in PostgreSQL's own words. */
async function settingsOf(pool: Pool, names: readonly string[]): Promise<Record<string, string>> {
  const { rows } = await pool.query<{ name: string; value: string }>(
    "select name, current_setting(name) as value from unnest($1::text[]) as name",
    [names],
  );
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

const WRITER = {
  default_transaction_isolation: "read committed",
  default_transaction_read_only: "off",
  idle_in_transaction_session_timeout: "3s",
  transaction_timeout: "10s",
  lock_timeout: "5s",
  tcp_keepalives_idle: "10",
  tcp_keepalives_interval: "10",
  TimeZone: "UTC",
};

const EXPECTED: Record<Role, Record<string, string>> = {
  headrace_worker: WRITER,
  headrace_orders: { ...WRITER, statement_timeout: "5s", work_mem: "64MB" },
  headrace_reports: {
    default_transaction_isolation: "repeatable read",
    default_transaction_read_only: "on",
    statement_timeout: "1min",
    tcp_keepalives_idle: "10",
    TimeZone: "UTC",
  },
};

test.each(ROLES)("a connection of %s has its limits from the database itself", async (role) => {
  const expected = EXPECTED[role];
  expect(await settingsOf(pools[role], Object.keys(expected))).toEqual(expected);
});

test("each role may open as many connections as it is meant to, and is no superuser", async () => {
  expect(
    await rowsOf(
      db.pool,
      `select rolname, rolconnlimit, rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls as may_more
       from pg_roles where rolname like 'headrace\\_%' order by 1`,
    ),
  ).toEqual([
    { rolname: "headrace_orders", rolconnlimit: 100, may_more: false },
    { rolname: "headrace_reports", rolconnlimit: 20, may_more: false },
    { rolname: "headrace_worker", rolconnlimit: 40, may_more: false },
  ]);
});

describe("limits that end a session or a statement", () => {
  /** A session whose limit is lowered, so that the test sees the mechanism without the wait. */
  async function failing(pool: Pool, statements: readonly string[]): Promise<string | undefined> {
    const client = await pool.connect();
    const ended = new Promise<string | undefined>((resolve) => {
      client.on("error", (error) => resolve(sqlState(error)));
    });
    try {
      for (const text of statements) await client.query(text);
      return await ended;
    } catch (error) {
      return sqlState(error);
    } finally {
      client.release(true);
    }
  }

  test("a writer that does nothing inside a transaction for 3 s is ended by the database", async () => {
    const startedAt = performance.now();
    const state = await failing(worker, ["begin", "select count(*) from stream_progress"]);
    expect(state).toBe("25P03");
    expect(performance.now() - startedAt).toBeGreaterThan(2500);
  });

  test("a transaction that is busy for too long is ended by the database", async () => {
    const state = await failing(worker, [
      "set transaction_timeout = '200ms'",
      "begin",
      "select pg_sleep(10)",
    ]);
    expect(state).toBe("25P04");
  });

  test("a statement of a report that runs away is cancelled", async () => {
    const state = await failing(reports, [
      "set statement_timeout = '100ms'",
      "select pg_sleep(10)",
    ]);
    expect(state).toBe("57014");
  });
});

const refusal = (pool: Pool, text: string) =>
  pool.query(text).then(
    () => "allowed",
    (error: unknown) => sqlState(error),
  );
const NOT_ALLOWED = "42501";
const READ_ONLY = "25006";

describe("the reports role", () => {
  test("reads every table and view that SQL tools are promised", async () => {
    const promised = [
      "stream_events",
      "stream_batches",
      "realtime_aggregates",
      "dead_letters",
      "stream_progress",
      "stream_gaps",
      "v_realtime_kpi",
      "v_realtime_windows",
    ];
    for (const name of promised)
      expect(await refusal(reports, `select * from ${name}`)).toBe("allowed");
  });

  test("writes nothing, not even when it asks for a writing transaction", async () => {
    const tables = await rowsOf(
      db.pool,
      `select relname as name from pg_class
       where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
    );
    expect(tables.length).toBeGreaterThan(10);
    for (const { name } of tables) {
      expect(await refusal(reports, `delete from ${name}`)).toBe(READ_ONLY);
      const asking = `begin; set transaction read write; delete from ${name}`;
      const client = await reports.connect();
      expect(await client.query(asking).catch(sqlState)).toBe(NOT_ALLOWED);
      await client.query("rollback");
      client.release();
    }
  });
});

describe("the worker role", () => {
  const forbidden = [
    "update stream_events set value = 0",
    "delete from stream_events",
    "truncate stream_events",
    "drop table stream_events",
    "alter table stream_events add column x text",
    "create index on stream_events (region)",
    "delete from stream_progress",
    "delete from stream_gaps",
    "delete from dead_letters",
    "update stream_batches set rows = 1",
    "insert into event_types (event_type) values ('x')",
    "update settings set partition_weeks_ahead = 1",
    "insert into epochs (epoch, system_identifier) values (7, 7)",
    "delete from leases",
    "insert into clock default values",
    "update migrations set checksum = ''",
    "select from migrations",
    "select set_tx_defaults(9)",
    "alter role headrace_worker connection limit 1000",
    "create role another",
    "create extension pgcrypto",
    "create database another",
    "copy stream_events to program 'true'",
    "select pg_read_file('/etc/hostname')",
  ];
  test.each(forbidden)("may not: %s", async (text) => {
    expect(await refusal(worker, text)).toBe(NOT_ALLOWED);
  });

  test("may not reach a partition beside the table", async () => {
    expect(await refusal(worker, "delete from stream_events_20251229")).toBe(NOT_ALLOWED);
  });
});

test("only the owner makes tables, schemas and functions", async () => {
  const makes = [
    "create table public.mine (id integer)",
    "create schema mine",
    "create function public.mine() returns integer language sql return 1",
  ];
  for (const pool of [worker, orders]) {
    for (const text of makes) expect(await refusal(pool, text)).toBe(NOT_ALLOWED);
  }
  for (const text of makes) {
    const client = await reports.connect();
    const refused = await client
      .query(`begin; set transaction read write; ${text}`)
      .catch(sqlState);
    expect(refused).toBe(NOT_ALLOWED);
    await client.query("rollback");
    client.release();
  }
});

test("no role but the owner makes temporary tables in a database that was migrated", async () => {
  const name = `${db.name}_own`;
  await db.pool.query(`create database ${name} template template0`);
  const url = new URL(db.ownerUrl);
  url.pathname = `/${name}`;
  try {
    await migrate(url.href);
    for (const role of ROLES) {
      const client = new Client({ connectionString: roleUrl(url.href, role) });
      await client.connect();
      await client.query("set default_transaction_read_only = off");
      expect(await client.query("create temporary table mine (id integer)").catch(sqlState)).toBe(
        NOT_ALLOWED,
      );
      await client.end();
    }
  } finally {
    await db.pool.query(`drop database ${name} with (force)`);
  }
});

test("a role's password is made from the owner's and its name, and differs for each", async () => {
  const password = (url: string): string => new URL(url).password;
  const passwords = ROLES.map((role) => password(roleUrl(db.ownerUrl, role)));
  expect(new Set(passwords).size).toBe(3);
  const other = new URL(db.ownerUrl);
  other.password = randomBytes(8).toString("hex");
  expect(password(roleUrl(other.href, "headrace_worker"))).not.toBe(passwords[0]);
  other.password = "";
  expect(() => roleUrl(other.href, "headrace_worker")).toThrow("needs the owner's password");
});
