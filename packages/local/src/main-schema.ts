/**
 * `npm run schema:dump [-- --check]`: writes packages/db/schema.sql from a database that the
 * migrations have just made. `--check` writes nothing, says nothing where the file is right, and
 * ends with 1 and the first difference where it is not.
 *
 * The database is a new one on the server of DATABASE_URL, else on a server of our own that lives
 * as long as this command.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createPool, dumpSchema, explainDatabase, migrate, type Pool } from "@headrace/db";
import { conflict, invalid } from "@headrace/kernel";
import { checkDatabaseUrl } from "./database-url.ts";
import { runCommand } from "./main-command.ts";
import { removePostgres, startPostgres } from "./postgres.ts";

const FILE = fileURLToPath(new URL("../../db/schema.sql", import.meta.url));
/** Lines shown around the first difference. */
const CONTEXT = 3;

await runCommand(async () => {
  const isCheck = checkFlag();
  const dumped = await withServer((url) => withNewDatabase(url, dumpMigrated));
  if (!isCheck) {
    await writeFile(FILE, dumped);
    console.log("packages/db/schema.sql is written");
    return;
  }
  const kept = await readFile(FILE, "utf8").catch(() => "");
  if (kept === dumped) return;
  throw conflict(
    "schema.differs",
    `packages/db/schema.sql is not what the migrations make: run \`npm run schema:dump\` and commit it.\n${firstDifference(kept, dumped)}`,
  );
});

function checkFlag(): boolean {
  try {
    return parseArgs({ options: { check: { type: "boolean" } } }).values.check === true;
  } catch (error) {
    throw invalid("schema.arguments", error instanceof Error ? error.message : String(error));
  }
}

async function withServer<Result>(work: (ownerUrl: string) => Promise<Result>): Promise<Result> {
  const given = process.env.DATABASE_URL;
  if (given) {
    checkDatabaseUrl(given);
    return work(given);
  }
  const folder = await mkdtemp(join(tmpdir(), "headrace-schema-"));
  try {
    const server = await startPostgres({
      folder,
      password: randomBytes(16).toString("hex"),
      // Nothing of it is kept.
      settings: { fsync: "off", full_page_writes: "off" },
    });
    try {
      return await work(server.url);
    } finally {
      await server.kill();
    }
  } finally {
    await removePostgres(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

/** On a server that others use, our databases are those named `headrace_test_*`. */
async function withNewDatabase<Result>(
  ownerUrl: string,
  work: (ownerUrl: string) => Promise<Result>,
): Promise<Result> {
  const name = `headrace_test_schema_${randomBytes(6).toString("hex")}`;
  const url = new URL(ownerUrl);
  url.pathname = `/${name}`;
  await withPool(ownerUrl, (pool) => pool.query(`create database ${name} template template0`));
  try {
    return await work(url.href);
  } finally {
    await withPool(ownerUrl, (pool) => pool.query(`drop database ${name} with (force)`));
  }
}

async function dumpMigrated(ownerUrl: string): Promise<string> {
  await migrate(ownerUrl);
  return withPool(ownerUrl, dumpSchema);
}

async function withPool<Result>(
  url: string,
  work: (pool: Pool) => Promise<Result>,
): Promise<Result> {
  const pool = createPool({ connectionString: url, max: 1 });
  // A session that ends with its database, just after the pool has ended, has nobody to tell.
  pool.on("error", () => {});
  try {
    return await work(pool);
  } catch (error) {
    throw explainDatabase(error, url);
  } finally {
    await pool.end();
  }
}

function firstDifference(kept: string, dumped: string): string {
  const [old, now] = [kept.split("\n"), dumped.split("\n")];
  const at = now.findIndex((line, index) => line !== old[index]);
  const from = at < 0 ? now.length : at;
  const show = (sign: string, lines: readonly string[]): string[] =>
    lines.slice(from, from + CONTEXT).map((line) => `${sign} ${line}`);
  return [
    `line ${from + 1} (- the file, + the database):`,
    ...now.slice(Math.max(0, from - CONTEXT), from).map((line) => `  ${line}`),
    ...show("-", old),
    ...show("+", now),
  ].join("\n");
}
