/**
 * The switches of `npm start`: flags first, then the environment, then the defaults. Whatever is wrong
 * is refused by name, before anything is started.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type AppError, invalid } from "@headrace/kernel";
import { checkDatabaseUrl } from "./database-url.ts";

export interface StartOptions {
  /** Absolute. */
  readonly home: string;
  readonly port: number;
  /** Whether somebody asked for this very port: then one in use is an error, else it is stepped past. */
  readonly portWasNamed: boolean;
  /** Events per second of the simulated shop; 0: there is none. */
  readonly trafficPerSecond: number;
  /** Of topic `events`, at least. */
  readonly partitions: number;
  /** Begin with empty data. */
  readonly fresh: boolean;
  /** Of a PostgreSQL that runs already, its owner's. */
  readonly databaseUrl: string | undefined;
  /** Of a Kafka that runs already. */
  readonly kafkaBrokers: readonly string[] | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export const DEFAULT_PORT = 8787;
export const DEFAULT_TRAFFIC = 50;
export const DEFAULT_PARTITIONS = 4;
const REPOSITORY = join(import.meta.dirname, "../../..");
/** More than one process can make and take in; a larger number is a slip of the finger. */
const MAX_TRAFFIC = 100_000;
/** Kafka keeps files open for each, and the poller a queue. */
const MAX_PARTITIONS = 256;

export const START_HELP = `npm start [-- FLAGS]: Headrace on this machine, with its own PostgreSQL and Kafka

  --port N         of the HTTP API; default ${DEFAULT_PORT}, or the next one that is free
  --home DIR       data, logs and jars; default .headrace in the repository; a second copy is asked
                   by HEADRACE_HOME=DIR before npm run token and npm run replay
  --traffic N      events per second of the simulated shop, default ${DEFAULT_TRAFFIC}
  --no-traffic     no simulated shop, so that figures can be compared with those of a replayed file
  --partitions N   of topic events, default ${DEFAULT_PARTITIONS}
  --fresh          begin with empty data: deletes what HOME holds, except Kafka's jars
  --help           this text

Environment: HEADRACE_PORT and HEADRACE_HOME stand for the flags; DATABASE_URL (the owner's) and
KAFKA_BROKERS name servers that run already, instead of own ones.
Ctrl-C ends everything in order; data stays.`;

/** Throws `start.arguments` and `database.url` (invalid), whose message says what to write instead. */
export function parseStartArguments(
  args: readonly string[],
  env: Environment,
): StartOptions | "help" {
  const flags = parsed(args);
  if (flags.help) return "help";
  if (flags["no-traffic"] && flags.traffic !== undefined)
    throw refused("--traffic and --no-traffic exclude each other: choose one");
  const port = flags.port ?? present(env.HEADRACE_PORT);
  const databaseUrl = present(env.DATABASE_URL);
  if (databaseUrl !== undefined) checkDatabaseUrl(databaseUrl);
  if (flags.fresh && databaseUrl !== undefined)
    throw refused(
      "--fresh deletes data, and DATABASE_URL names a database that is not of this HOME: unset DATABASE_URL, or empty that database yourself",
    );
  return {
    home: homeFolder(flags.home, env),
    port: whole(
      flags.port === undefined ? "HEADRACE_PORT" : "--port",
      port,
      0,
      65_535,
      DEFAULT_PORT,
    ),
    portWasNamed: port !== undefined,
    trafficPerSecond: flags["no-traffic"]
      ? 0
      : whole("--traffic", flags.traffic, 0, MAX_TRAFFIC, DEFAULT_TRAFFIC),
    partitions: whole("--partitions", flags.partitions, 1, MAX_PARTITIONS, DEFAULT_PARTITIONS),
    fresh: flags.fresh ?? false,
    databaseUrl,
    kafkaBrokers: brokerList(present(env.KAFKA_BROKERS)),
  };
}

/** HOME of every command: the flag, else HEADRACE_HOME, else `.headrace` in the repository. Absolute. */
export function homeFolder(flag: string | undefined, env: Environment): string {
  if (flag === "") throw refused("--home needs a folder");
  return resolve(flag ?? present(env.HEADRACE_HOME) ?? join(REPOSITORY, ".headrace"));
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: "string" },
        home: { type: "string" },
        traffic: { type: "string" },
        "no-traffic": { type: "boolean" },
        partitions: { type: "string" },
        fresh: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    // Node's own texts go on with advice about its own syntax.
    const [first = ""] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    throw refused(`${first}; \`npm start -- --help\` lists what there is`);
  }
}

const present = (value: string | undefined): string | undefined => value || undefined;

function whole(
  name: string,
  text: string | undefined,
  least: number,
  most: number,
  otherwise: number,
): number {
  if (text === undefined) return otherwise;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw refused(`${name} must be a whole number from ${least} to ${most}, not "${text}"`);
}

const BROKER = /^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]]+):\d{1,5}$/;

function brokerList(text: string | undefined): readonly string[] | undefined {
  const list = text?.split(",").map((each) => each.trim());
  if (list?.every((each) => BROKER.test(each)) === false)
    throw refused(`KAFKA_BROKERS must be host:port[,host:port…], not "${text}"`);
  return list;
}

function refused(message: string): AppError {
  return invalid("start.arguments", message);
}
