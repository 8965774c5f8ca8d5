/**
 * Removes what a test run has made: its servers' folder, what they keep elsewhere, its databases on
 * a server that was there before. Run as a program (`node sweep.ts FOLDER RUN_ID`) it does so for a
 * run that was interrupted.
 */
import { existsSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { folderOwner, removeKafka, removePostgres } from "@headrace/local";
import { Client } from "pg";

export async function sweepRun(folder: string, runId: string): Promise<void> {
  await sweepFolder(folder);
  if (process.env.DATABASE_URL) await dropDatabases(process.env.DATABASE_URL, runId);
}

/** The folders of runs, of tests and of benches, that were killed before they could be swept. */
export async function sweepDeadRuns(home: string): Promise<void> {
  for (const name of await readdir(home).catch(() => [])) {
    const folder = join(home, name);
    if (!OWN_FOLDER.test(name) || folderOwner(folder) !== undefined) continue;
    // Between the making of a folder and its locking its name or its age alone tells that its run lives.
    const [, run] = /^test-(\d+)$/.exec(name) ?? [];
    if (run === undefined ? await isYoung(folder) : isAlive(Number(run))) continue;
    await sweepFolder(folder);
  }
}

/** What tests and benches make beneath the repository's own HOME. */
const OWN_FOLDER = /^(test|bench|e2e|runtime-test)-/;
const YOUNG_MILLIS = 600_000;

async function isYoung(folder: string): Promise<boolean> {
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
  return Date.now() - mtimeMs < YOUNG_MILLIS;
}

async function sweepFolder(folder: string): Promise<void> {
  await removePostgres(join(folder, "postgres"));
  await removeKafka(join(folder, "kafka"));
  await removeKafka(join(folder, "secured-kafka"));
  await removePostgres(join(folder, "data/postgres"));
  await removeKafka(join(folder, "data/kafka"));
  if (existsSync(join(folder, "moved-to.json"))) await removePostgres(folder);
  await rm(folder, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function dropDatabases(url: string, runId: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      "select datname as name from pg_database where starts_with(datname, $1)",
      [`headrace_test_${runId}_`],
    );
    for (const { name } of rows) await client.query(`drop database if exists ${name} with (force)`);
  } finally {
    await client.end();
  }
}

if (import.meta.main) {
  const [folder, runId] = process.argv.slice(2);
  if (folder !== undefined && runId !== undefined) await sweepRun(folder, runId);
}
