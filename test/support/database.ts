/**
 * A database of its own for each test file, cloned from a template that is migrated once per run.
 */
import { randomBytes } from "node:crypto";
import { createPool, migrate, type Pool, roleUrl } from "@headrace/db";
import { Client } from "pg";
import { afterAll, inject } from "vitest";
import { adminUrl } from "./servers.ts";

export interface TestDatabase {
  readonly name: string;
  readonly ownerUrl: string;
  readonly workerUrl: string;
  readonly reportsUrl: string;
  /** The owner's. */
  readonly pool: Pool;
  /** Ends the pool and every session, and removes the database. Done by itself after the file. */
  drop(): Promise<void>;
}

/** To be called at the top of a test file or of a `describe`. */
export async function testDatabase(): Promise<TestDatabase> {
  const admin = await adminUrl();
  const name = `headrace_test_${inject("runId")}_${randomBytes(6).toString("hex")}`;
  await withClient(admin, async (client) => {
    const template = await ensureTemplate(client, admin);
    await client.query(`create database ${name} template ${template}`);
  });
  const ownerUrl = databaseUrl(admin, name);
  const pool = createPool({ connectionString: ownerUrl, max: 4 });
  // Sessions that a test, or the forced drop, kills; the next query reports it.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  let dropped: Promise<void> | undefined;
  const drop = (): Promise<void> => {
    dropped ??= (async () => {
      await pool.end();
      await withClient(admin, (client) => client.query(`drop database ${name} with (force)`));
    })();
    return dropped;
  };
  afterAll(drop);
  return {
    name,
    ownerUrl,
    workerUrl: roleUrl(ownerUrl, "headrace_worker"),
    reportsUrl: roleUrl(ownerUrl, "headrace_reports"),
    pool,
    drop,
  };
}

/** The first worker makes it while the others wait; under its name it is always complete. */
async function ensureTemplate(client: Client, admin: string): Promise<string> {
  const template = `headrace_test_${inject("runId")}_template`;
  await client.query("select pg_advisory_lock(hashtext('headrace_test_template'))");
  try {
    const known = await client.query("select from pg_database where datname = $1", [template]);
    if (known.rowCount === 0) {
      await client.query(`drop database if exists ${template}_new`);
      await client.query(`create database ${template}_new template template0`);
      await migrate(databaseUrl(admin, `${template}_new`));
      await client.query(`alter database ${template}_new rename to ${template}`);
    }
  } finally {
    await client.query("select pg_advisory_unlock(hashtext('headrace_test_template'))");
  }
  return template;
}

async function withClient(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

function databaseUrl(url: string, database: string): string {
  const other = new URL(url);
  other.pathname = `/${database}`;
  return other.href;
}
