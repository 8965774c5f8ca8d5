/** Where the running system is: what `HOME/running.json` says, else the environment. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AppError, unavailable } from "@headrace/kernel";
import * as z from "zod";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Api {
  readonly url: string;
  /** A bearer token with scope reports:read, and admin where something is loaded. */
  readonly token: string;
}

export interface RunningSystem {
  readonly kafkaBrokers: readonly string[];
  /** Where its progress can be asked for; undefined where that was not told, which only `--wait` needs. */
  readonly api: Api | undefined;
  /** Of its database, which is asked where there is no `api`. */
  readonly databaseUrl: string | undefined;
  /** For people: how it was found. */
  readonly foundBy: string;
}

const Running = z.object({
  url: z.string(),
  token: z.string(),
  kafkaBrokers: z.array(z.string()).min(1),
  pid: z.number(),
});

const REPOSITORY = resolve(import.meta.dirname, "../../../..");

/** Throws `replay.no_system` where there is none. */
export async function findSystem(env: Environment): Promise<RunningSystem> {
  const home = homeOf(env);
  return (await fromHome(home)) ?? fromEnvironment(env) ?? nowhere(home);
}

/** Where the running system answers; throws `load.no_system` where that is not told. */
export async function findApi(env: Environment): Promise<Api> {
  const home = homeOf(env);
  const { HEADRACE_URL: url, HEADRACE_TOKEN: token } = env;
  const api = (await fromHome(home))?.api ?? (url && token ? { url, token } : undefined);
  if (api !== undefined) return api;
  throw unavailable(
    "load.no_system",
    `no Headrace is running on ${home}. Start one (npm start), name the folder of one that runs (HEADRACE_HOME), or say where it answers: HEADRACE_URL, and HEADRACE_TOKEN, a token with scope admin.`,
  );
}

const homeOf = (env: Environment): string =>
  resolve(env.HEADRACE_HOME || join(REPOSITORY, ".headrace"));

async function fromHome(home: string): Promise<RunningSystem | undefined> {
  const path = join(home, "running.json");
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw unreadable(path, error);
  });
  if (text === undefined) return undefined;
  let running: z.output<typeof Running>;
  try {
    running = Running.parse(JSON.parse(text));
  } catch (error) {
    throw unreadable(path, error);
  }
  if (!isAlive(running.pid)) return undefined;
  const { url, token, kafkaBrokers } = running;
  return { kafkaBrokers, api: { url, token }, databaseUrl: undefined, foundBy: path };
}

function fromEnvironment(env: Environment): RunningSystem | undefined {
  const kafkaBrokers = (env.KAFKA_BROKERS ?? "").split(",").filter((broker) => broker !== "");
  if (kafkaBrokers.length === 0) return undefined;
  const { HEADRACE_URL: url, HEADRACE_TOKEN: token } = env;
  const api = url && token ? { url, token } : undefined;
  const databaseUrl = env.DATABASE_URL || undefined;
  return { kafkaBrokers, api, databaseUrl, foundBy: "KAFKA_BROKERS" };
}

function nowhere(home: string): never {
  throw unavailable(
    "replay.no_system",
    `no Headrace is running on ${home}. Start one (npm start), name the folder of one that runs (HEADRACE_HOME), or name its servers: KAFKA_BROKERS, and for --wait DATABASE_URL too.`,
  );
}

function unreadable(path: string, cause: unknown): AppError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppError("invalid", "replay.running_file", `${path} cannot be read: ${why}`, {
    cause,
  });
}

function isMissing(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  return error.code === "ENOENT" || error.code === "ENOTDIR";
}

/** A process of another user is one too (EPERM). */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
