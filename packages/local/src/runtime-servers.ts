/**
 * The database and the broker of one runtime: own ones, or those that DATABASE_URL and KAFKA_BROKERS
 * name; both brought to where functions can use them (schema, topics). Those that are named come first,
 * since an address may be wrong; then own ones start side by side.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { migrate, type RoleProvision } from "@headrace/db";
import { createAdmin } from "@headrace/kafka";
import { AppError, unavailable } from "@headrace/kernel";
import type { ChildExit } from "./child.ts";
import { logSince } from "./child-log.ts";
import { checkDatabaseUrl } from "./database-url.ts";
import type { Home } from "./home.ts";
import { fetchKafkaJars } from "./kafka-jars.ts";
import { type KafkaServer, startKafka } from "./kafka-server.ts";
import { type PostgresServer, startPostgres } from "./postgres.ts";

export interface Topic {
  readonly name: string;
  readonly partitions: number;
  readonly configs?: Readonly<Record<string, string>>;
}

export interface ServersOptions {
  readonly home: Home;
  /** Default: `HOME/jars`. */
  readonly jarsFolder: string | undefined;
  readonly databaseUrl: string | undefined;
  readonly kafkaBrokers: readonly string[] | undefined;
  readonly topics: readonly Topic[];
  readonly notice: (line: string) => void;
  /** Of own servers, where somebody else has settled it; default: the HOME's passwords, any free port. */
  readonly settled?: Settled;
}

export interface Settled {
  readonly ownerPassword: string;
  readonly roles: RoleProvision;
  readonly postgresPort: number;
  readonly kafkaPort: number;
}

export interface Servers {
  /** The owner's. */
  readonly databaseUrl: string;
  readonly brokers: readonly string[];
  /** Undefined when it is not ours. */
  readonly postgres: PostgresServer | undefined;
  readonly kafka: KafkaServer | undefined;
  /** Settles when an own server is gone that was not stopped here. */
  readonly crashed: Promise<AppError>;
  /** Own servers only, both at once, each within 5 s. */
  stop(): Promise<void>;
}

/** Throws `AppError`s whose message says what to do; nothing is left running then. */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const given = await Promise.all([useDatabase(options), useBroker(options)]);
  const started = await Promise.allSettled([
    given[0] ?? startDatabase(options),
    given[1] ?? startBroker(options),
  ]);
  const [database, broker] = started;
  if (database.status === "rejected" || broker.status === "rejected") {
    for (const one of started) if (one.status === "fulfilled") await one.value.server?.stop();
    throw database.status === "rejected"
      ? database.reason
      : (broker as PromiseRejectedResult).reason;
  }
  const postgres = database.value.server;
  const kafka = broker.value.server;
  let isStopping = false;
  const crashed = new Promise<AppError>((resolve) => {
    const watch = (name: string, server: PostgresServer | KafkaServer | undefined, file: string) =>
      void server?.exited.then(async (exit) => {
        if (!isStopping)
          resolve(await crash(name, server.pid, exit, join(options.home.logsFolder, file)));
      });
    watch("PostgreSQL", postgres, POSTGRES_LOG);
    watch("Kafka", kafka, KAFKA_LOG);
  });
  return {
    databaseUrl: database.value.url,
    brokers: broker.value.brokers,
    postgres,
    kafka,
    crashed,
    async stop() {
      isStopping = true;
      await Promise.all([kafka?.stop(), postgres?.stop()]);
    },
  };
}

const POSTGRES_LOG = "postgres.log";
const KAFKA_LOG = "kafka.log";

interface Started<Server> {
  readonly server: Server | undefined;
}

interface Database extends Started<PostgresServer> {
  readonly url: string;
}

interface Broker extends Started<KafkaServer> {
  readonly brokers: readonly string[];
}

/** Undefined where none is named. */
async function useDatabase({ databaseUrl, notice }: ServersOptions): Promise<Database | undefined> {
  if (databaseUrl === undefined) return undefined;
  checkDatabaseUrl(databaseUrl);
  await prepare(databaseUrl, notice).catch((error: unknown) => {
    if (error instanceof AppError) throw error; // says already what to do
    throw unavailable(
      "database.unavailable",
      `The database ${withoutPassword(databaseUrl)} cannot be used: check DATABASE_URL and that server's log.\n${reason(error)}`,
      { cause: error },
    );
  });
  return { url: databaseUrl, server: undefined };
}

async function startDatabase({ home, notice, settled }: ServersOptions): Promise<Database> {
  const server = await startPostgres({
    folder: home.postgresFolder,
    password: settled?.ownerPassword ?? home.secrets.ownerPassword,
    logFile: join(home.logsFolder, POSTGRES_LOG),
    ...(settled === undefined ? {} : { port: settled.postgresPort }),
  });
  notice("PostgreSQL is up");
  try {
    await prepare(server.url, notice, settled?.roles);
    return { url: server.url, server };
  } catch (error) {
    const explained = await server.explain(error);
    await server.stop();
    throw explained;
  }
}

/** One machine's data is its own: nothing expires. */
const KEEP_EVERYTHING = {
  raw_retention: null,
  state_retention: null,
  window_10s_retention: null,
  window_1m_retention: null,
} as const;

async function prepare(
  ownerUrl: string,
  notice: (line: string) => void,
  roles?: RoleProvision,
): Promise<void> {
  const options = roles === undefined ? {} : { roles };
  const { applied } = await migrate(ownerUrl, KEEP_EVERYTHING, options);
  if (applied.length > 0) notice(`the database's schema is up to date (${applied.length} new)`);
}

function withoutPassword(text: string): string {
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}

/** Undefined where none is named. */
async function useBroker(options: ServersOptions): Promise<Broker | undefined> {
  const { kafkaBrokers, topics } = options;
  if (kafkaBrokers === undefined) return undefined;
  await ensureTopics(kafkaBrokers, topics, EXTERNAL_TIMEOUT_MS).catch((error: unknown) => {
    throw unavailable(
      "kafka.unavailable",
      `Kafka at ${kafkaBrokers.join(", ")} cannot be used: start it, correct KAFKA_BROKERS, or unset that to have a Kafka started.\n${reason(error)}`,
      { cause: error },
    );
  });
  return { brokers: kafkaBrokers, server: undefined };
}

async function startBroker(options: ServersOptions): Promise<Broker> {
  const { home, topics, notice, settled } = options;
  const jarsFolder = options.jarsFolder ?? home.jarsFolder;
  if (!existsSync(jarsFolder)) notice("Kafka is fetched from Maven Central, once (45 MB)");
  await fetchKafkaJars(jarsFolder);
  const server = await startKafka({
    folder: home.kafkaFolder,
    jarsFolder,
    logFile: join(home.logsFolder, KAFKA_LOG),
    ...(settled === undefined ? {} : { port: settled.kafkaPort }),
  });
  notice("Kafka is up");
  try {
    await ensureTopics(server.brokers, topics);
    return { brokers: server.brokers, server };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** A broker that does not answer for so long is not there; own ones have answered before. */
const EXTERNAL_TIMEOUT_MS = 6_000;

async function ensureTopics(
  brokers: readonly string[],
  topics: readonly Topic[],
  timeoutMs?: number,
): Promise<void> {
  const admin = createAdmin(
    { brokers, clientId: "headrace-start" },
    timeoutMs === undefined ? {} : { timeoutMs },
  );
  try {
    await Promise.all(
      topics.map(({ name, partitions, configs = {} }) =>
        admin.ensureTopic(name, { partitions, configs, grow: true }),
      ),
    );
  } finally {
    await admin.close();
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function crash(name: string, pid: number, exit: ChildExit, file: string): Promise<AppError> {
  const how = exit.signal === null ? `with code ${exit.code}` : `by ${exit.signal}`;
  const tail = await logSince({ file, from: 0 }, 5);
  return unavailable(
    `${name.toLowerCase()}.crashed`,
    `${name} (process ${pid}) ended ${how}, so everything else was ended too. Start again; data is kept. The end of its log (${file}):\n${tail}`,
  );
}
