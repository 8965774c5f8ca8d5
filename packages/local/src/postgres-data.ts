/** A PostgreSQL data folder: made whole or not at all, checked, and freed of a server left in it. */
import { randomUUID } from "node:crypto";
import { chmod, chown, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { LocalSettings } from "@headrace/capacity";
import { conflict, unavailable } from "@headrace/kernel";
import { runTool } from "./child.ts";
import { commandLine, identifyProcess, isRunning } from "./child-identity.ts";
import type { Binaries } from "./postgres-binaries.ts";
import { makeOwnFolder, type PostgresPlace } from "./postgres-place.ts";
import { settingsFile } from "./postgres-settings.ts";

/** Nothing of ours: the user's locale would change messages that we read, PG* variables the server. */
export const SERVER_ENV: NodeJS.ProcessEnv = {
  ...(process.env.PATH === undefined ? {} : { PATH: process.env.PATH }),
  LC_ALL: "C",
  TZ: "UTC",
};

export interface Initialise {
  readonly binaries: Binaries;
  readonly place: PostgresPlace;
  readonly data: string;
  readonly owner: string;
  readonly password: string;
  readonly settings: LocalSettings;
}

/** Does nothing to a folder that holds data, except to refuse data of another major version. */
export async function initialise(what: Initialise): Promise<void> {
  if (await holdsData(what)) return;
  const { place, data } = what;
  const draft = `${data}.${randomUUID()}`;
  const passwordFile = `${draft}.password`;
  try {
    await makeOwnFolder(draft, place.account);
    await writeFile(passwordFile, what.password, { mode: 0o600 });
    if (place.account !== undefined)
      await chown(passwordFile, place.account.uid, place.account.gid);
    await runInitdb(what, draft, passwordFile);
    await rename(draft, data);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(draft, { recursive: true, force: true });
  }
}

async function holdsData({ binaries, data }: Initialise): Promise<boolean> {
  const entries = await readdir(data).catch(() => []);
  if (entries.length === 0) return false;
  const version = (await readFile(join(data, "PG_VERSION"), "utf8").catch(() => "")).trim();
  if (version === binaries.major) return true;
  throw conflict(
    "postgres.other_version",
    version === ""
      ? `${data} is no PostgreSQL data folder any more: PG_VERSION is missing. Put a backup in its place, or begin with empty data: \`npm start -- --fresh\`.`
      : `${data} was made by PostgreSQL ${version}, and these binaries are ${binaries.major}. Go on with the release that made it, or begin with empty data: \`npm start -- --fresh\`.`,
  );
}

async function runInitdb(what: Initialise, draft: string, passwordFile: string): Promise<void> {
  const args = [
    `--pgdata=${draft}`,
    `--username=${what.owner}`,
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // Sorts by code point on every system alike, and knows the letters beyond ASCII.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    ...(what.settings.fsync === "off" ? ["--no-sync"] : []),
  ];
  const { account } = what.place;
  const { code, output } = await runTool(what.binaries.initdb, args, {
    account,
    cwd: "/",
    env: SERVER_ENV,
  });
  if (code === 0) return;
  throw unavailable(
    "postgres.not_initialised",
    output.includes("No space left on device")
      ? `The disk that holds ${what.data} is full. Free some space and start again.`
      : `PostgreSQL could not make its data folder ${what.data}: ${output.split("\n").slice(-6).join("\n")}`,
  );
}

/** Lives beside the data, not in it: there we would write where another account may put links. */
export async function writeSettings(
  place: PostgresPlace,
  settings: LocalSettings,
): Promise<string> {
  const path = join(place.container, "postgresql.conf");
  await writeFile(path, settingsFile(settings));
  await chmod(path, 0o644);
  return path;
}

/** The server says so itself, in the file that names its process; a port could be another server's. */
export async function isReady(data: string, pid: number): Promise<boolean> {
  const lines = await readPidFile(data);
  return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
}

/**
 * Ends a server that works in this folder although nobody who started it lives (we hold the
 * folder's lock). A pid that now belongs to another program is forgotten, else PostgreSQL would
 * refuse to start as long as that program runs.
 */
export async function endOrphan(data: string): Promise<void> {
  const pid = Number((await readPidFile(data))[0]);
  if (!Number.isInteger(pid) || pid <= 0) return;
  const orphan = identifyProcess(pid);
  if (orphan === undefined) return;
  if (!isServerOf(data, commandLine(pid))) {
    await rm(join(data, "postmaster.pid"), { force: true });
    return;
  }
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    if (!isRunning(orphan)) return;
    process.kill(pid, signal);
    const deadline = Date.now() + 4000;
    while (isRunning(orphan) && Date.now() < deadline) await delay(20);
  }
}

function isServerOf(data: string, command = ""): boolean {
  return command.includes("postgres") && command.includes(`-D ${data} `);
}

async function readPidFile(data: string): Promise<readonly string[]> {
  return (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
}
