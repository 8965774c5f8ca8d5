/**
 * HOME: the folder with everything that one local Headrace keeps (data, logs, jars, secrets), and at
 * most one that uses it. `running.json` tells other programs where it answers.
 */
import { access, constants, mkdir, readdir, readFile, realpath, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { conflict } from "@headrace/kernel";
import { explainFileError } from "./home-file-error.ts";
import { type FolderLock, folderOwner, lockFolder } from "./home-lock.ts";
import { completeSecrets, type HomeSecrets, readSecrets, writePrivately } from "./home-secrets.ts";
import { removeKafka } from "./kafka-server.ts";
import { removePostgres } from "./postgres.ts";

/** What `running.json` holds while Headrace runs. */
export interface Running {
  readonly url: string;
  readonly token: string;
  /** The owner's. */
  readonly databaseUrl: string;
  readonly kafkaBrokers: readonly string[];
  readonly pid: number;
  readonly startedAt: string;
  /** Where the database's files are when HOME could not hold them (`PostgresServer.outsidePlace`). */
  readonly postgresPlace?: string;
}

export interface Home {
  /** Absolute, without links. */
  readonly path: string;
  readonly postgresFolder: string;
  readonly kafkaFolder: string;
  readonly jarsFolder: string;
  readonly logsFolder: string;
  readonly secrets: HomeSecrets;
  writeRunning(running: Running): Promise<void>;
  /** Removes `running.json` and lets the next one in; for when the servers have ended. */
  close(): Promise<void>;
}

export interface HomeOptions {
  /**
   * Begin with empty data: removes data, logs and secrets of this HOME, and the place outside where
   * its database had to go. Jars stay. Other files in the folder are not touched.
   */
  readonly fresh?: boolean;
}

/** Throws `AppError`s whose message says what to do; `conflict` (`home.in_use`) when another runs. */
export async function openHome(folder: string, options: HomeOptions = {}): Promise<Home> {
  const path = await usableFolder(resolve(folder));
  const lock = await lockHome(path);
  try {
    const known = await checkedSecrets(path);
    if (options.fresh) await empty(path);
    else await rm(join(path, RUNNING), { force: true }); // its process is gone: we have the lock
    const secrets = await completeSecrets(path, options.fresh ? undefined : known);
    const logsFolder = join(path, "logs");
    await mkdir(logsFolder, { recursive: true });
    return {
      path,
      postgresFolder: join(path, "data", "postgres"),
      kafkaFolder: join(path, "data", "kafka"),
      jarsFolder: join(path, "jars"),
      logsFolder,
      secrets,
      writeRunning: (running) =>
        writePrivately(join(path, RUNNING), `${JSON.stringify(running, undefined, 2)}\n`),
      async close() {
        await rm(join(path, RUNNING), { force: true });
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw explainFileError(error, path);
  }
}

const RUNNING = "running.json";

/** The Headrace that runs on this HOME now; undefined when there is none or it is not ready yet. */
export async function findRunning(folder: string): Promise<Running | undefined> {
  const text = await readFile(join(folder, RUNNING), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const running = JSON.parse(text) as Running;
  return folderOwner(folder)?.pid === running.pid ? running : undefined;
}

async function usableFolder(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return await realpath(path);
  } catch (error) {
    throw explainFileError(error, path);
  }
}

async function lockHome(path: string): Promise<FolderLock> {
  try {
    return lockFolder(path);
  } catch (error) {
    const owner = folderOwner(path);
    if (owner === undefined) throw explainFileError(error, path);
    const url = (await findRunning(path))?.url;
    throw conflict(
      "home.in_use",
      `Headrace runs already on ${path} (process ${owner.pid}${url ? `, ${url}` : ""}). Stop it first, or choose another folder: --home DIR.`,
    );
  }
}

/**
 * The secrets prove that the folder is ours. Without that proof somebody else's `data` could be
 * taken for ours, and be deleted by --fresh.
 */
async function checkedSecrets(path: string): Promise<Partial<HomeSecrets> | undefined> {
  const secrets = await readSecrets(path);
  if (secrets !== undefined) return secrets;
  const entries = await readdir(path);
  if (!entries.includes("data") && !entries.includes("logs")) return undefined;
  throw conflict(
    "home.foreign",
    `${path} holds data or logs but no secrets.json, so it is no HOME of Headrace, or one that lost its passwords. Choose another folder (--home DIR), put secrets.json back, or delete the folder.`,
  );
}

/** Secrets last: until then a start that was interrupted here can be repeated. */
async function empty(path: string): Promise<void> {
  const data = join(path, "data");
  await removePostgres(join(data, "postgres"));
  await removeKafka(join(data, "kafka"));
  for (const name of ["data", "logs", RUNNING, "secrets.json"])
    await rm(join(path, name), { recursive: true, force: true });
}
