/**
 * What `sst dev` runs beside the functions that it bridges to this machine: PostgreSQL and Kafka where
 * the stage's links say, and every function that Kafka or the clock starts, by the same handlers.
 * HTTP functions are not here: requests reach them through the stage's own gateway.
 *
 * Addresses and passwords are the links', so that whoever is linked can connect. Data is kept for each
 * stage in a folder of its own, and survives.
 */
import { join } from "node:path";
import { createPool } from "@headrace/db";
import {
  closePools,
  closeProducers,
  config,
  databaseAddress,
  forgetConfig,
  kafkaConfig,
  rolePasswords,
  systemClock,
  useLogger,
} from "@headrace/handler";
import { type AppError, invalid, type Logger, silentLogger } from "@headrace/kernel";
import { withDevRemedy } from "./development-remedy.ts";
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
  const { stage, logLevel: level } = config();
  const folder = join(options.folder, stage);
  try {
    const home = await openHome(folder);
    ending.add("home", () => home.close());
    const file = join(home.logsFolder, "functions.log");
    const { notice } = options;
    const functionLog = await openFunctionLog({ file, clock: systemClock, level, notice });
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
      notice,
      settled,
    });
    ending.add(SERVERS, () => servers.stop());
    options.signal.throwIfAborted();
    const triggers = { ending, log, signal: stopping.signal };
    await startTriggers(servers, await loading, triggers).catch(async (error: unknown) => {
      throw (await servers.postgres?.explain(error)) ?? error;
    });
    const ended = Promise.race([aborted(options.signal), servers.crashed]).then(async (crash) => {
      await end();
      return crash;
    });
    return { databaseUrl: servers.databaseUrl, brokers: servers.brokers, ended };
  } catch (error) {
    await end();
    throw withDevRemedy(error, settled, folder);
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
  return {
    ownerPassword: decodeURIComponent(owner.password),
    roles: { size: "local", passwords: rolePasswords() },
    postgresPort: Number(owner.port),
    kafkaPort: Number(kafka?.port),
  };
}
