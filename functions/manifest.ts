/**
 * What starts each function: data only. The local runtime is made from it, and so is the cloud: it
 * holds what a Lambda event source mapping, a schedule and an HTTP API route need to be told.
 */
import type { RoleName } from "@headrace/capacity";
import type { RouteScope } from "@headrace/handler";

/**
 * `worker`: few, long transactions. `orders`: many short ones. `reports`: read only. `owner`: changes
 * the schema.
 */
export type PoolName = RoleName | "owner";

export interface KafkaTrigger {
  readonly kind: "kafka";
  readonly topic: string;
  /** Records per invocation at most, of all partitions together (Lambda: 10,000 and 6 MB). */
  readonly batchSize: number;
  /** How long a batch may gather after its first record; 0 sends at once (in the cloud, after 500 ms). */
  readonly batchingWindowSeconds: number;
  /**
   * Invocations at once of the local poller alone, each with partitions of its own. In the cloud,
   * Lambda decides: five for each poller at most, and one for each partition.
   */
  readonly concurrency: number;
  /** With pauses that grow to half a minute, 100 outlast most outages. -1: until the record is too old. */
  readonly maximumRetryAttempts: number;
  /** -1: never too old. */
  readonly maximumRecordAgeSeconds: number;
  readonly bisectBatchOnFunctionError: boolean;
  /** A topic of the same cluster, for records that were given up. */
  readonly onFailureTopic: string;
}

export interface CronTrigger {
  readonly kind: "cron";
  /** Seconds between runs. The scheduler's least step is a minute: `pulse` runs those below it. */
  readonly every: number;
}

export interface HttpTrigger {
  readonly kind: "http";
  readonly routes: readonly HttpRoute[];
}

export interface HttpRoute {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: `/${string}`;
  readonly scope: RouteScope;
}

/** Once per deploy, before anything else of the new release runs. */
export interface DeployTrigger {
  readonly kind: "deploy";
}

export type Trigger = KafkaTrigger | CronTrigger | HttpTrigger | DeployTrigger;

/** What a function does with Kafka itself, beside being started by it. */
export type KafkaUse =
  | "produce" // writes records to the events topic
  | "read" // reads records of the events topic again
  | "offsets" // asks where logs begin and end
  | "administer"; // makes topics

export interface FunctionEntry<Kind extends Trigger = Trigger> {
  /** Below `functions/`, without its ending; the file exports `handler`. */
  readonly file: string;
  readonly trigger: Kind;
  readonly timeoutSeconds: number;
  readonly memoryMegabytes: number;
  /** Which database connections it needs, and so which secrets it is given. */
  readonly pools: readonly PoolName[];
  readonly kafka: readonly KafkaUse[];
  /** Starts `pulse` after its commits where no schedule may wake the database. */
  readonly wakesPulse?: true;
}

/** One page of Lambda's price list: a core's full share comes with 1,769 MB. */
const ONE_CORE_MEGABYTES = 1769;

export const functions: readonly FunctionEntry[] = [
  {
    file: "deploy/prepare-stage",
    trigger: { kind: "deploy" },
    // A migration may rewrite a table; Lambda allows no more.
    timeoutSeconds: 900,
    memoryMegabytes: 512,
    pools: ["owner"],
    kafka: ["administer"],
  },
  {
    file: "kafka/ingest-events",
    trigger: {
      kind: "kafka",
      topic: "events",
      batchSize: 5000,
      batchingWindowSeconds: 0,
      concurrency: 2,
      maximumRetryAttempts: 100,
      maximumRecordAgeSeconds: -1,
      bisectBatchOnFunctionError: true,
      onFailureTopic: "events.failed",
    },
    timeoutSeconds: 60,
    memoryMegabytes: ONE_CORE_MEGABYTES,
    pools: ["worker"],
    kafka: [],
    wakesPulse: true,
  },
  {
    file: "cron/pulse",
    trigger: { kind: "cron", every: 60 },
    timeoutSeconds: 180,
    memoryMegabytes: ONE_CORE_MEGABYTES,
    pools: ["worker"],
    kafka: ["offsets", "read"],
  },
  {
    file: "cron/finish-windows",
    trigger: { kind: "cron", every: 1 },
    timeoutSeconds: 60,
    memoryMegabytes: ONE_CORE_MEGABYTES,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "cron/finish-sessions",
    trigger: { kind: "cron", every: 1 },
    timeoutSeconds: 60,
    memoryMegabytes: 512,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "cron/refresh-segments",
    trigger: { kind: "cron", every: 1 },
    timeoutSeconds: 60,
    memoryMegabytes: ONE_CORE_MEGABYTES,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "cron/find-joins",
    trigger: { kind: "cron", every: 1 },
    timeoutSeconds: 60,
    memoryMegabytes: 512,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "cron/keep-statistics",
    trigger: { kind: "cron", every: 1 },
    timeoutSeconds: 60,
    memoryMegabytes: 512,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "cron/watch-progress",
    trigger: { kind: "cron", every: 10 },
    timeoutSeconds: 30,
    memoryMegabytes: 512,
    pools: ["worker"],
    kafka: ["offsets"],
  },
  {
    file: "cron/fill-gaps",
    trigger: { kind: "cron", every: 10 },
    timeoutSeconds: 60,
    memoryMegabytes: 1024,
    pools: ["worker"],
    kafka: ["read"],
  },
  {
    file: "cron/erase-users",
    trigger: { kind: "cron", every: 10 },
    timeoutSeconds: 60,
    memoryMegabytes: ONE_CORE_MEGABYTES,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "cron/maintain-partitions",
    trigger: { kind: "cron", every: 3600 },
    timeoutSeconds: 300,
    memoryMegabytes: 512,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "cron/audit",
    trigger: { kind: "cron", every: 3600 },
    timeoutSeconds: 60,
    memoryMegabytes: 1024,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "http/collect",
    trigger: {
      kind: "http",
      routes: [{ method: "POST", path: "/v1/events", scope: "events:write" }],
    },
    timeoutSeconds: 15,
    memoryMegabytes: 1024,
    pools: [],
    kafka: ["produce"],
  },
  {
    file: "http/reports",
    trigger: {
      kind: "http",
      routes: [
        { method: "GET", path: "/v1/reports/kpi", scope: "reports:read" },
        { method: "GET", path: "/v1/reports/windows", scope: "reports:read" },
        { method: "GET", path: "/v1/reports/sliding", scope: "reports:read" },
        { method: "GET", path: "/v1/reports/sessions", scope: "reports:read" },
        { method: "GET", path: "/v1/reports/sessions/summary", scope: "reports:read" },
        { method: "GET", path: "/v1/reports/active-users", scope: "reports:read" },
        { method: "GET", path: "/v1/reports/funnel", scope: "reports:read" },
        { method: "GET", path: "/v1/reports/joins/{name}", scope: "reports:read" },
        { method: "GET", path: "/v1/reports/segments", scope: "reports:read" },
      ],
    },
    timeoutSeconds: 29,
    memoryMegabytes: ONE_CORE_MEGABYTES,
    pools: ["reports"],
    kafka: [],
  },
  {
    file: "http/users",
    trigger: {
      kind: "http",
      routes: [
        { method: "GET", path: "/v1/users/{id}/profile", scope: "users:read" },
        { method: "GET", path: "/v1/users/{id}/features", scope: "users:read" },
        { method: "GET", path: "/v1/users/{id}/events", scope: "users:read" },
        { method: "DELETE", path: "/v1/users/{id}", scope: "admin" },
        { method: "GET", path: "/v1/erasures/{job}", scope: "admin" },
      ],
    },
    timeoutSeconds: 29,
    memoryMegabytes: 1024,
    pools: ["reports", "worker"],
    kafka: [],
  },
  {
    file: "http/dimensions",
    trigger: {
      kind: "http",
      routes: [
        { method: "PUT", path: "/v1/users/{id}", scope: "admin" },
        { method: "PUT", path: "/v1/products/{id}", scope: "admin" },
        { method: "PUT", path: "/v1/users", scope: "admin" },
        { method: "PUT", path: "/v1/products", scope: "admin" },
      ],
    },
    timeoutSeconds: 29,
    memoryMegabytes: 1024,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "http/joins",
    trigger: {
      kind: "http",
      routes: [
        { method: "GET", path: "/v1/joins", scope: "reports:read" },
        { method: "PUT", path: "/v1/joins/{name}", scope: "admin" },
        { method: "DELETE", path: "/v1/joins/{name}", scope: "admin" },
      ],
    },
    timeoutSeconds: 29,
    memoryMegabytes: 1024,
    pools: ["worker"],
    kafka: [],
  },
  {
    file: "http/operations",
    trigger: {
      kind: "http",
      routes: [
        { method: "GET", path: "/health", scope: "public" },
        { method: "GET", path: "/v1/progress", scope: "reports:read" },
        { method: "GET", path: "/v1/audit", scope: "admin" },
        { method: "GET", path: "/v1/dead-letters", scope: "admin" },
        { method: "POST", path: "/v1/dead-letters/replay", scope: "admin" },
      ],
    },
    timeoutSeconds: 29,
    memoryMegabytes: 1024,
    pools: ["reports", "worker"],
    kafka: ["produce"],
  },
];

/** Entries that a trigger of this kind starts. */
export function functionsOf<Kind extends Trigger["kind"]>(
  kind: Kind,
): readonly FunctionEntry<Extract<Trigger, { kind: Kind }>>[] {
  return functions.filter(
    (entry): entry is FunctionEntry<Extract<Trigger, { kind: Kind }>> =>
      entry.trigger.kind === kind,
  );
}

/** The least step of a schedule, in seconds; faster crons run inside `pulse`. */
export const SCHEDULE_STEP_SECONDS = 60;
