/**
 * What `sst dev` runs beside the functions that it bridges to this machine: PostgreSQL and Kafka where
 * the stage's links say, and every function that Kafka or the clock starts, by the same handlers.
 * HTTP functions are not here: requests reach them through the stage's own gateway.
 *
 * Addresses and passwords are the links', so that whoever is linked can connect. Data is kept for each
 * stage in a folder of its own, and survives.
 */
import { join } from "node:path";
import { DEV_PORT_VARIABLE } from "@headrace/capacity";
import { createPool, ROLES, type Role } from "@headrace/db";
import {
  closePools,
  closeProducers,
  config,
  databaseAddress,
  forgetConfig,
  kafkaConfig,
  rolePasswordOf,
  systemClock,
  useLogger,
} from "@headrace/handler";
import { AppError, conflict, invalid, type Logger, silentLogger } from "@headrace/kernel";
import { loadFunctions } from "./function-loader.ts";
import { openFunctionLog } from "./function-log.ts";
import { openHome } from "./home.ts";
import { OWNER } from "./postgres.ts";
import { Ending, SERVERS } from "./runtime-ending.ts";
import { type Servers, type Settled, startServers } from "./runtime-servers.ts";
import { databaseIdentity, startPollers, startSchedule, topicsOf } from "./runtime-triggers.ts";
import { DEFAULT_PARTITIONS } from "./start-options.ts";

export interface DevelopmentOptions {
  /** Holds the stage's data and logs, in a folder by its name; absolute. */
  readonly folder: string;
  readonly jarsFolder: string;
  /** Aborted: everything ends, also a start under way. */
  readonly signal: AbortSignal;
  readonly notice: (line: string) => void;
}

export interface Development {
  readonly databaseUrl: string;
  readonly brokers: readonly string[];
  /** Settles when everything has ended: undefined when that was asked for, else the crash. */
  readonly ended: Promise<AppError | undefined>;
}

/** Resolves when everything reads. Throws `AppError`s whose message says what to do. */
export async function startDevelopment(options: DevelopmentOptions): Promise<Development> {
  forgetConfig();
  const settled = settledByLinks();
  const ending = new Ending();
  const stopping = new AbortController();
  let log: Logger = silentLogger;
  const end = (): Promise<void> => {
    stopping.abort();
    return ending.run(log);
  };
  try {
    const home = await openHome(join(options.folder, config().stage));
    ending.add("home", () => home.close());
    const file = join(home.logsFolder, "functions.log");
    const { logLevel: level } = config();
    const functionLog = await openFunctionLog({ file, clock: systemClock, level, ...options });
    log = functionLog.logger;
    useLogger(log);
    ending.add("log", async () => {
      useLogger(undefined);
      await functionLog.close();
    });
    const loading = loadFunctions(["kafka", "cron"]);
    loading.catch(() => {}); // awaited below
    const servers = await startServers({
      home,
      jarsFolder: options.jarsFolder,
      databaseUrl: undefined,
      kafkaBrokers: undefined,
      topics: topicsOf(DEFAULT_PARTITIONS),
      notice: options.notice,
      settled,
    }).catch((error: unknown) => {
      throw withDevRemedy(error, settled, home.path);
    });
    ending.add(SERVERS, () => servers.stop());
    options.signal.throwIfAborted();
    await startTriggers(servers, await loading, { ending, log, signal: stopping.signal });
    const ended = Promise.race([aborted(options.signal), servers.crashed]).then(async (crash) => {
      await end();
      return crash;
    });
    return { databaseUrl: servers.databaseUrl, brokers: servers.brokers, ended };
  } catch (error) {
    await end();
    throw error;
  }
}

interface TriggerOptions {
  readonly ending: Ending;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

async function startTriggers(
  { databaseUrl, brokers }: Servers,
  loaded: Awaited<ReturnType<typeof loadFunctions>>,
  { ending, log, signal }: TriggerOptions,
): Promise<void> {
  ending.add("producers", closeProducers);
  ending.add("pools", closePools);
  const owner = createPool({ connectionString: databaseUrl, max: 1 });
  owner.on("error", () => {});
  const database = await databaseIdentity(owner).finally(() => owner.end());
  const schedule = startSchedule(loaded, log, signal);
  ending.add("schedule", () => schedule.stop());
  const pollers = startPollers({ loaded, brokers, database, log, clock: systemClock });
  ending.add("pollers", async () => {
    await Promise.all(pollers.map((poller) => poller.stop()));
  });
}

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });

/** Throws `config.missing`, or `dev.link` where a link names no server of this machine. */
function settledByLinks(): Settled {
  const owner = new URL(databaseAddress("owner").url);
  const [broker = ""] = kafkaConfig("development").brokers ?? [];
  const kafka = URL.parse(`kafka://${broker}`);
  const isHere = owner.hostname === "127.0.0.1" && kafka?.hostname === "127.0.0.1";
  if (!isHere || owner.username !== OWNER || owner.pathname !== `/${OWNER}`)
    throw invalid(
      "dev.link",
      "DatabaseOwner and Kafka are linked to servers that are not this machine's own: this command is started by `sst dev` (npm run dev), which links them",
    );
  const purposes = {
    headrace_worker: "worker",
    headrace_orders: "orders",
    headrace_reports: "reports",
  } as const;
  const passwords = ROLES.map((role) => [role, rolePasswordOf(purposes[role], role)]);
  return {
    ownerPassword: decodeURIComponent(owner.password),
    roles: { size: "local", passwords: Object.fromEntries(passwords) as Record<Role, string> },
    postgresPort: Number(owner.port),
    kafkaPort: Number(kafka?.port),
  };
}

/** Far enough from the other stage's two ports. */
const PORTS_APART = 10;

function withDevRemedy(error: unknown, settled: Settled, folder: string): unknown {
  if (!(error instanceof AppError)) return error;
  const { postgresPort, kafkaPort } = settled;
  if (error.code.endsWith(".port_taken")) {
    const [name, port] = error.code.startsWith("kafka")
      ? ["Kafka", kafkaPort]
      : ["PostgreSQL", postgresPort];
    return conflict(
      "dev.port_in_use",
      `Port ${port}, where this stage looks for ${name}, is in use, perhaps by the sst dev of another stage. Stop that one, or start this one on other ports: ${DEV_PORT_VARIABLE}=${postgresPort + PORTS_APART} npm run dev`,
      { cause: error },
    );
  }
  if (error.code === "postgres.other_password")
    return conflict(
      "dev.other_stage",
      `The data in ${folder} was made for an earlier stage of this name, with another password. Delete that folder to begin with empty data.`,
      { cause: error },
    );
  return error;
}
