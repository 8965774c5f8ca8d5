/**
 * The one reader of the environment and of what SST linked, once per process at its first use. A
 * variable wins over a link.
 *
 * A value that is there and wrong is refused whole (`config.invalid`); one that is missing is refused
 * when somebody asks for it (`config.missing`), because no function needs all of them. Messages name
 * the variable or link and the remedy and never hold the value: it may be a secret.
 */
import { ROLE_NAMES, SIZES, type Size } from "@headrace/capacity";
import { bug, type LogLevel } from "@headrace/kernel";
import * as z from "zod";
import { type AuthConfig, readAuthConfig } from "./config-auth.ts";
import {
  brokerList,
  type DatabaseAddress,
  DatabaseLink,
  type Environment,
  KafkaLink,
  type LinkSource,
  linksOf,
  PulseLink,
  postgresUrl,
  readLink,
} from "./links.ts";

export type { Environment };

/** What a database connection is for; each has its own role, limits and pool. */
export const PURPOSES = [...ROLE_NAMES, "owner"] as const;
export type Purpose = (typeof PURPOSES)[number];

export interface Config {
  readonly databases: Readonly<Partial<Record<Purpose, DatabaseAddress>>>;
  readonly kafka: KafkaLink | undefined;
  /** How topics are made: by Kafka's own protocol, or by AWS, for clusters that have such an API. */
  readonly kafkaTopicApi: "brokers" | "msk";
  /** What the server's parameters ask for; undefined where they are not a deploy's to set. */
  readonly serverConnections: number | undefined;
  /** The name of the function that the fast crons run in, where commits have to start it. */
  readonly pulseFunction: string | undefined;
  /** How a Kafka function says that a partition failed: see `kafkaHandler`. */
  readonly kafkaFailures: "report" | "throw";
  /** The stage's name; `local` outside of one. */
  readonly stage: string;
  readonly size: Size;
  readonly eventsTopic: string;
  readonly eventHorizonDays: number;
  readonly auth: AuthConfig | undefined;
  readonly logLevel: LogLevel;
  /** Whether this process is a deployed function (the local runtime and tests are not). */
  readonly deployed: boolean;
  /** Whether answers are checked against their schemas before they are sent: in tests only. */
  readonly checkAnswers: boolean;
}

let read: Config | undefined;

/** The configuration of this process; throws `config.invalid`. */
export function config(): Config {
  read ??= readConfig(process.env);
  return read;
}

/** Makes the next `config()` read the environment anew: for tests and for the local runtime. */
export function forgetConfig(): void {
  read = undefined;
}

/** In a deployed function, fails its start rather than its first request. */
export function checkAtColdStart(check: () => unknown = config): void {
  if (process.env.AWS_LAMBDA_FUNCTION_NAME) check();
}

const sources: Record<Purpose, { readonly variable: string; readonly links: readonly string[] }> = {
  worker: { variable: "DATABASE_WORKER_URL", links: ["DatabaseWorkerPooled", "DatabaseWorker"] },
  orders: { variable: "DATABASE_ORDERS_URL", links: ["DatabaseOrdersPooled", "DatabaseOrders"] },
  reports: {
    variable: "DATABASE_REPORTS_URL",
    links: ["DatabaseReportsPooled", "DatabaseReports"],
  },
  owner: { variable: "DATABASE_OWNER_URL", links: ["DatabaseOwner"] },
};

/** Throws `config.missing`. */
export function databaseAddress(purpose: Purpose, from: Config = config()): DatabaseAddress {
  const { variable, links } = sources[purpose];
  return from.databases[purpose] ?? missing(variable, links, "a postgresql:// address");
}

/** Throws `config.missing`. */
export function kafkaAddress(from: Config = config()): KafkaLink {
  return from.kafka ?? missing("KAFKA_BROKERS", ["Kafka"], "a comma-separated list of host:port");
}

/** Throws `config.missing`. */
export function authConfig(from: Config = config()): AuthConfig {
  return (
    from.auth ??
    missing(
      "AUTH_ISSUER",
      [],
      "the tokens' issuer, with AUTH_AUDIENCE and AUTH_JWKS or AUTH_JWKS_URL",
    )
  );
}

function missing(variable: string, links: readonly string[], remedy: string): never {
  const [link] = links.toReversed();
  throw bug(
    "config.missing",
    link === undefined
      ? `${variable} is not set: set it to ${remedy}`
      : `${variable} is not set and ${links.join(" or ")} is not linked: set it to ${remedy}, or link ${link} to this function`,
  );
}

const Variables = z.object({
  DATABASE_WORKER_URL: postgresUrl.optional(),
  DATABASE_ORDERS_URL: postgresUrl.optional(),
  DATABASE_REPORTS_URL: postgresUrl.optional(),
  DATABASE_OWNER_URL: postgresUrl.optional(),
  KAFKA_BROKERS: brokerList.optional(),
  KAFKA_FAILURES: z.enum(["report", "throw"], "must be report or throw").default("report"),
  KAFKA_TOPIC_API: z.enum(["brokers", "msk"], "must be brokers or msk").default("brokers"),
  MAX_CONNECTIONS: z
    .string()
    .regex(/^[1-9]\d{0,5}$/, "must be a whole number from 1 to 999999")
    .transform(Number)
    .optional(),
  HEADRACE_STAGE: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, "must be a stage's name (letters, digits, -)")
    .default("local"),
  HEADRACE_SIZE: z.enum(SIZES, "must be local, starter, standard or large").default("local"),
  EVENTS_TOPIC: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,249}$/, "must be a topic's name (letters, digits, . _ -)")
    .default("events"),
  EVENT_HORIZON_DAYS: z
    .string()
    .regex(/^[1-9]\d{0,4}$/, "must be whole days from 1 to 99999")
    .transform(Number)
    .default(400),
  LOG_LEVEL: z
    .enum(["debug", "info", "warn", "error"], "must be debug, info, warn or error")
    .default("info"),
  AWS_LAMBDA_FUNCTION_NAME: z.string().optional(),
  NODE_ENV: z.string().optional(),
});

/** The configuration that `env` and the links state. An empty value counts as absent. */
export function readConfig(env: Environment, link: LinkSource = linksOf(env)): Config {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const parsed = Variables.safeParse(present);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`);
    throw bug("config.invalid", faults.join("; "));
  }
  const values = parsed.data;
  const deployed = values.AWS_LAMBDA_FUNCTION_NAME !== undefined;
  return {
    databases: readDatabases(present, link),
    kafka: values.KAFKA_BROKERS
      ? { kind: "plain", brokers: values.KAFKA_BROKERS }
      : readLink(link, "Kafka", KafkaLink),
    kafkaTopicApi: values.KAFKA_TOPIC_API,
    serverConnections: values.MAX_CONNECTIONS,
    pulseFunction: readLink(link, "Pulse", PulseLink)?.functionName,
    kafkaFailures: values.KAFKA_FAILURES,
    stage: values.HEADRACE_STAGE,
    size: values.HEADRACE_SIZE,
    eventsTopic: values.EVENTS_TOPIC,
    eventHorizonDays: values.EVENT_HORIZON_DAYS,
    auth: readAuthConfig(present, deployed),
    logLevel: values.LOG_LEVEL,
    deployed,
    checkAnswers: values.NODE_ENV === "test",
  };
}

function readDatabases(env: Environment, link: LinkSource): Config["databases"] {
  const databases: Partial<Record<Purpose, DatabaseAddress>> = {};
  for (const purpose of PURPOSES) {
    const { variable, links } = sources[purpose];
    const url = env[variable];
    const address =
      url === undefined
        ? links.map((name) => readLink(link, name, DatabaseLink)).find((it) => it !== undefined)
        : ({ url, through: "server" } as const);
    if (address !== undefined) databases[purpose] = address;
  }
  return databases;
}
