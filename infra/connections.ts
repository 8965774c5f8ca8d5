/**
 * How many invocations of each function run at once, so that what they open together stays within
 * what the database allows the role that they connect as and within its machine's memory.
 */
import {
  type Capacity,
  type CapacityFault,
  checkCapacity,
  type FunctionConnections,
  INVOCATION_CONNECTIONS,
  type RoleName,
  roleLimits,
} from "@headrace/capacity";
import {
  type FunctionEntry,
  functions,
  functionsOf,
  SCHEDULE_STEP_SECONDS,
} from "../functions/manifest.ts";
import { serverOf } from "./server.ts";
import type { Fault, Stage } from "./settings.ts";

export const PULSE = "cron/pulse";
/** One that works and one that waits to take over. */
const PULSE_INVOCATIONS = 2;

/** What one provisioned poller of Lambda invokes at once, at most one for each partition that it reads. */
const INVOCATIONS_PER_POLLER = 5;

/** Of the writers' limit, for HTTP functions that write; Kafka and cron functions have the rest. */
const HTTP_SHARE = 1 / 3;
/**
 * Server sessions that a proxy or pooler lends one invocation: one for each transaction, and a request
 * has one transaction at a time. A statement that outlives its request holds another until its timeout
 * ends it: where that takes the role past its limit, the next request is told to come again.
 */
const LENT_SESSIONS = 1;

/** Crons of their own schedule; `pulse` runs the faster ones. */
export const scheduledCrons = functionsOf("cron").filter(
  ({ trigger }) => trigger.every >= SCHEDULE_STEP_SECONDS,
);
/** Sessions of `pulse`: one for each cron that it runs side by side, and one for its lease. */
export const PULSE_SESSIONS =
  functionsOf("cron").filter(({ trigger }) => trigger.every < SCHEDULE_STEP_SECONDS).length + 1;

/**
 * Reserved concurrency of `entry`; undefined where nothing has to be bounded, and in `starter`, because
 * an account with the concurrency of a new one can reserve none. There Lambda itself runs at most one
 * invocation for each partition of a topic, and HTTP functions that ask for more sessions than their
 * role may hold are refused by the database.
 *
 * A Kafka function's is all that its pollers can start: with less, Lambda throttles its own pollers.
 */
export function invocationsAtOnce(entry: FunctionEntry, stage: Stage): number | undefined {
  const { trigger, file } = entry;
  if (stage.size === "starter") return undefined;
  switch (trigger.kind) {
    case "kafka":
      return kafkaInvocations(stage);
    case "cron":
      return file === PULSE ? PULSE_INVOCATIONS : 1;
    case "http":
      return httpInvocations(entry, stage);
    case "deploy":
      return undefined;
  }
}

function kafkaInvocations({ pollers, events }: Stage): number {
  const started = pollers === undefined ? Infinity : pollers.max * INVOCATIONS_PER_POLLER;
  return Math.min(events.partitions, started);
}

/** Whether HTTP functions connect to the server itself. */
export const connectsDirectly = ({ database }: Stage): boolean =>
  database.kind === "aurora" || (database.kind === "rds" && !database.proxy);

/** Each of those that share a role has an equal part of its limit. */
function httpInvocations({ pools }: FunctionEntry, stage: Stage): number | undefined {
  const limits = roleLimits(stage.size);
  const counts = rolesOf(pools).map((role) => {
    const { connections } = limits[role];
    const share = role === "worker" ? connections * HTTP_SHARE : connections;
    return Math.floor(share / (httpUsersOf(role) * httpSessions(stage)));
  });
  return counts.length === 0 ? undefined : Math.max(1, Math.min(...counts));
}

const httpSessions = (stage: Stage): number =>
  connectsDirectly(stage) ? INVOCATION_CONNECTIONS.http : LENT_SESSIONS;

const httpUsersOf = (role: RoleName): number =>
  functionsOf("http").filter(({ pools }) => pools.includes(role)).length;

const rolesOf = (pools: FunctionEntry["pools"]): RoleName[] =>
  pools.filter((pool) => pool !== "owner");

/** Everything that connects to the server itself, at its most. */
const openers = (stage: Stage): FunctionConnections[] =>
  functions.flatMap((entry) => openersOf(entry, stage));

function openersOf(entry: FunctionEntry, stage: Stage): FunctionConnections[] {
  const { file: name, trigger, pools } = entry;
  const sessions = (count: number) =>
    Object.fromEntries(rolesOf(pools).map((role) => [role, count]));
  const most = invocationsAtOnce(entry, stage);
  if (trigger.kind === "kafka")
    return [
      {
        name,
        instances: kafkaInvocations(stage),
        connections: sessions(INVOCATION_CONNECTIONS.kafka),
      },
    ];
  if (name === PULSE)
    return [
      { name, instances: 1, connections: sessions(PULSE_SESSIONS) },
      { name: `${name} (waiting)`, instances: 1, connections: sessions(1) },
    ];
  if (scheduledCrons.some(({ file }) => file === name))
    return [{ name, instances: 1, connections: sessions(INVOCATION_CONNECTIONS.cron) }];
  if (trigger.kind === "http" && most !== undefined && connectsDirectly(stage))
    return [{ name, instances: most, connections: sessions(INVOCATION_CONNECTIONS.http) }];
  return [];
}

/** What a proxy or pooler opens for HTTP functions at most; nothing is known where none is bounded. */
function pooledSessions(stage: Stage): NonNullable<Capacity["pooled"]> {
  if (connectsDirectly(stage)) return {};
  const pooled: Partial<Record<RoleName, number>> = {};
  for (const entry of functionsOf("http"))
    for (const role of rolesOf(entry.pools))
      pooled[role] = (pooled[role] ?? 0) + (invocationsAtOnce(entry, stage) ?? 0) * LENT_SESSIONS;
  return pooled;
}

function capacityOf(stage: Stage): Capacity {
  const { database } = stage;
  return {
    ...serverOf(stage),
    engine: database.kind === "rds" ? "postgres" : database.kind,
    functions: openers(stage),
    pooled: pooledSessions(stage),
    ...(database.kind === "neon" ? { maxConnections: database.maxConnections } : {}),
  };
}

export const connectionFaults = (stage: Stage): readonly Fault[] =>
  checkCapacity(capacityOf(stage)).map((fault) => ({
    path: settingOf(fault, stage),
    message: fault.message,
  }));

/** The setting to change first: a topic's partitions only grow, but starter has no pollers. */
function settingOf({ path }: CapacityFault, { database, size }: Stage): string {
  if (path === "connections.worker")
    return size === "starter" ? "events.partitions" : "pollers.max";
  if (path.startsWith("connections.")) return "size";
  switch (database.kind) {
    case "rds":
      return "database.instance";
    case "aurora":
      return "database.maxCapacity";
    case "neon":
      return path === "memory" ? "database.memoryGigabytes" : "database.maxConnections";
  }
}
