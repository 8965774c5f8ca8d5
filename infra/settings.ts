/**
 * The settings of a stage: what each may be, checked before anything is made. Every object is strict,
 * so a misspelt setting is refused by name instead of being ignored.
 */
import { z } from "zod";
import { BROKER_MACHINES, MSK_VERSIONS, RDS_MACHINE_NAMES, REGIONS } from "./machines.ts";

export const SIZES = ["starter", "standard", "large"] as const;

const address = (what: string) =>
  z
    .string()
    .refine((text) => URL.parse(text)?.protocol === "https:", `must be ${what} (https://…)`);

const Auth = z.strictObject({
  /** As tokens have it in `iss`. */
  issuer: address("the issuer's address"),
  /** As tokens have it in `aud`. */
  audience: z.string().min(1, "must name the audience that tokens are made for"),
  jwksUrl: address("where the issuer publishes its keys"),
  /** What the issuer signs with. The gateway checks tokens before the functions do only for RSA. */
  algorithms: z
    .array(z.enum(["RS256", "ES256", "EdDSA"], "must be RS256, ES256 or EdDSA"))
    .min(1, "must name at least one algorithm"),
  /**
   * False: the gateway leaves tokens to the functions. It checks them only where all are RSA's, and
   * wants the issuer's discovery document (`ISSUER/.well-known/openid-configuration`).
   */
  gateway: z.boolean().optional(),
});

/** PostgreSQL 17 or 18; `17` takes the newest minor that AWS has when the server is made. */
const engineVersion = (majors: string) =>
  z
    .string()
    .regex(
      new RegExp(`^(${majors})(\\.\\d+)?$`),
      `must be PostgreSQL ${majors.replace("|", " or ")}`,
    );

const Rds = z.strictObject({
  kind: z.literal("rds"),
  version: engineVersion("17|18"),
  instance: z.enum(RDS_MACHINE_NAMES),
  /** Grows to this by itself. */
  storageGigabytes: z.int().min(20).max(65_536),
  /** HTTP functions connect through RDS Proxy. Without it each of them holds connections. */
  proxy: z.boolean(),
  /** A second machine in another zone that takes over. */
  multiZone: z.boolean(),
});

const Aurora = z.strictObject({
  kind: z.literal("aurora"),
  version: engineVersion("17"),
  /** 0: sleeps when nobody is connected. */
  minCapacity: z.number().min(0).max(128).multipleOf(0.5),
  maxCapacity: z.number().min(1).max(128).multipleOf(0.5),
  pauseAfterMinutes: z.int().min(5).max(1440),
});

/** Its address is the secret `DatabaseUrl`: the owner's, direct (not the pooler's). */
const Neon = z.strictObject({
  kind: z.literal("neon"),
  /** Of the largest compute that it may scale to: 4 for each of Neon's units. */
  memoryGigabytes: z.number().min(1).max(224),
  /** What that compute allows; Neon's table has it. */
  maxConnections: z.int().min(100).max(4_000),
  /** False where its compute never scales to zero. */
  sleeps: z.boolean(),
});

const MskServerless = z.strictObject({ kind: z.literal("msk-serverless") });

const MskProvisioned = z.strictObject({
  kind: z.literal("msk-provisioned"),
  version: z.enum(MSK_VERSIONS, `must be one of ${MSK_VERSIONS.join(", ")}`),
  instance: z.enum(BROKER_MACHINES),
  /** Each partition has three copies, on as many brokers. */
  brokers: z.int().min(3).max(30),
  /** Of each broker; Express brokers have none to size. */
  storageGigabytes: z.int().min(1).max(16_384).optional(),
});

/** Signed in to with the secrets `KafkaUsername` and `KafkaPassword`, by SCRAM-SHA-512 over TLS. */
const ExistingKafka = z.strictObject({
  kind: z.literal("existing"),
  brokers: z
    .array(z.string().regex(/^[A-Za-z0-9.-]+:\d{2,5}$/, "must be host:port"))
    .min(1, "must name at least one broker"),
  /** Copies of each partition; left out, the brokers' default. */
  replication: z.int().min(1).max(7).optional(),
});

const Events = z.strictObject({
  /** More can be asked for later, but then keys move to other partitions. */
  partitions: z.int().min(1).max(1_000),
  /** Of the topics. */
  retentionHours: z.int().min(1).max(8_760),
  /** How far back an event may lie. */
  horizonDays: z.int().min(1).max(3_650),
  /** How long the database keeps events themselves; they go by whole weeks, what came of them stays. */
  rawRetentionDays: z.int().min(7).max(36_500),
});

/** Provisioned pollers of each event source mapping. */
const Pollers = z.strictObject({
  min: z.int().min(1).max(200),
  max: z.int().min(1).max(200),
});

const Http = z.strictObject({
  ratePerSecond: z.int().min(1).max(10_000),
  burst: z.int().min(1).max(5_000),
  /** Web pages that may call it from a browser; none by default. */
  origins: z.array(address("a page's origin")),
});

const Logs = z.strictObject({
  level: z.enum(["debug", "info", "warn", "error"]),
  retention: z.enum(["1 week", "2 weeks", "1 month", "3 months", "1 year"]),
});

const Alarms = z.strictObject({
  email: z.email("must be the address that alarms are sent to"),
  /** A month's costs of the whole account; a mail is sent before they are reached. */
  budgetDollars: z.number().min(1),
});

/** Each kind's own settings have defaults by size, so only `kind` must be named. */
const named = { kind: true } as const;

export const Settings = z.strictObject({
  size: z.enum(SIZES, "must be starter, standard or large"),
  region: z.enum(REGIONS, `must be one of ${REGIONS.join(", ")}`),
  auth: Auth,
  database: z
    .discriminatedUnion("kind", [
      Rds.partial().required(named),
      Aurora.partial().required(named),
      Neon.partial().required(named),
    ])
    .optional(),
  kafka: z
    .discriminatedUnion("kind", [
      MskServerless,
      MskProvisioned.partial().required(named),
      ExistingKafka,
    ])
    .optional(),
  events: Events.partial().optional(),
  pollers: Pollers.partial().optional(),
  http: Http.partial().optional(),
  logs: Logs.partial().optional(),
  alarms: Alarms,
});
/** What `infra/stages.ts` says of a stage. */
export type Settings = z.input<typeof Settings>;

export type Size = (typeof SIZES)[number];
export type RdsSettings = z.output<typeof Rds>;
export type AuroraSettings = z.output<typeof Aurora>;
export type NeonSettings = z.output<typeof Neon>;
export type DatabaseSettings = RdsSettings | AuroraSettings | NeonSettings;
export type MskProvisionedSettings = z.output<typeof MskProvisioned>;
export type ExistingKafkaSettings = z.output<typeof ExistingKafka>;
export type KafkaSettings =
  | z.output<typeof MskServerless>
  | MskProvisionedSettings
  | ExistingKafkaSettings;

export const isExpress = ({ instance }: MskProvisionedSettings): boolean =>
  instance.startsWith("express.");

export interface Fault {
  /** The setting, such as `database.instance`. */
  readonly path: string;
  /** What is wrong with it and what to do. */
  readonly message: string;
}

/** A stage's settings with every default filled in. */
export interface Stage {
  readonly name: string;
  /** Protected from removal; what holds data outlives it. */
  readonly production: boolean;
  readonly size: Size;
  readonly region: (typeof REGIONS)[number];
  readonly auth: z.output<typeof Auth>;
  readonly database: DatabaseSettings;
  /** Whether the database stops when nobody is connected, so nothing may connect for no reason. */
  readonly databaseSleeps: boolean;
  readonly kafka: KafkaSettings;
  readonly events: z.output<typeof Events>;
  /** Undefined where the mappings have none of their own, and none of what those bring. */
  readonly pollers: z.output<typeof Pollers> | undefined;
  readonly http: z.output<typeof Http>;
  readonly logs: z.output<typeof Logs>;
  readonly alarms: z.output<typeof Alarms>;
}
