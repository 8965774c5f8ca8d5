/**
 * The one reader of the environment, once per process at its first use.
 *
 * A value that is there and wrong is refused whole (`config.invalid`); one that is missing is refused
 * when somebody asks for it (`config.missing`), because no function needs all of them. Messages name
 * the variable and the remedy and never hold the value: it may be a secret.
 */
import { bug, type LogLevel } from "@headrace/kernel";
import { z } from "zod";
import { type AuthConfig, readAuthConfig } from "./config-auth.ts";

/** What a database connection is for; each has its own role, limits and pool. */
export const PURPOSES = ["worker", "orders", "reports"] as const;
export type Purpose = (typeof PURPOSES)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Config {
  readonly databaseUrls: Readonly<Partial<Record<Purpose, string>>>;
  readonly kafkaBrokers: readonly string[] | undefined;
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

const urlVariable: Record<Purpose, string> = {
  worker: "DATABASE_WORKER_URL",
  orders: "DATABASE_ORDERS_URL",
  reports: "DATABASE_REPORTS_URL",
};

/** Throws `config.missing`. */
export function databaseUrl(purpose: Purpose, from: Config = config()): string {
  return from.databaseUrls[purpose] ?? missing(urlVariable[purpose], "a postgresql:// address");
}

/** Throws `config.missing`. */
export function kafkaBrokers(from: Config = config()): readonly string[] {
  return from.kafkaBrokers ?? missing("KAFKA_BROKERS", "a comma-separated list of host:port");
}

/** Throws `config.missing`. */
export function authConfig(from: Config = config()): AuthConfig {
  return (
    from.auth ??
    missing("AUTH_ISSUER", "the tokens' issuer, with AUTH_AUDIENCE and AUTH_JWKS or AUTH_JWKS_URL")
  );
}

function missing(name: string, remedy: string): never {
  throw bug("config.missing", `${name} is not set: set it to ${remedy}`);
}

const postgresUrl = z
  .string()
  .refine(isPostgresUrl, "must be postgresql://user:password@host:port/database");

const broker = /^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}$/;
const brokers = z
  .string()
  .transform((list) => list.split(",").map((each) => each.trim()))
  .refine((list) => list.every((each) => broker.test(each)), "must be host:port[,host:port…]");

const Variables = z.object({
  DATABASE_WORKER_URL: postgresUrl.optional(),
  DATABASE_ORDERS_URL: postgresUrl.optional(),
  DATABASE_REPORTS_URL: postgresUrl.optional(),
  KAFKA_BROKERS: brokers.optional(),
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

/** Pure: the configuration that `env` states. An empty value counts as absent. */
export function readConfig(env: Environment): Config {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const parsed = Variables.safeParse(present);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`);
    throw bug("config.invalid", faults.join("; "));
  }
  const values = parsed.data;
  const deployed = values.AWS_LAMBDA_FUNCTION_NAME !== undefined;
  const { DATABASE_WORKER_URL, DATABASE_ORDERS_URL, DATABASE_REPORTS_URL } = values;
  return {
    databaseUrls: {
      ...(DATABASE_WORKER_URL === undefined ? {} : { worker: DATABASE_WORKER_URL }),
      ...(DATABASE_ORDERS_URL === undefined ? {} : { orders: DATABASE_ORDERS_URL }),
      ...(DATABASE_REPORTS_URL === undefined ? {} : { reports: DATABASE_REPORTS_URL }),
    },
    kafkaBrokers: values.KAFKA_BROKERS,
    eventsTopic: values.EVENTS_TOPIC,
    eventHorizonDays: values.EVENT_HORIZON_DAYS,
    auth: readAuthConfig(present, deployed),
    logLevel: values.LOG_LEVEL,
    deployed,
    checkAnswers: values.NODE_ENV === "test",
  };
}

function isPostgresUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^postgres(ql)?:$/.test(url.protocol) && url.pathname.length > 1;
}
