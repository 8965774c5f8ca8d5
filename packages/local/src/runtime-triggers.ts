/** What starts each function of the manifest, on one machine: pollers, a schedule, an HTTP server. */
import { createHash } from "node:crypto";
import type { Sql } from "@headrace/db";
import { EVENTS_TOPIC } from "@headrace/events";
import {
  type CronHandler,
  config,
  DEFAULT_MAX_BODY_BYTES,
  type HttpHandler,
  type RouteKey,
  type Routes,
} from "@headrace/handler";
import { type Clock, conflict, type Logger } from "@headrace/kernel";
import {
  type CronTrigger,
  type FunctionEntry,
  functionsOf,
  type HttpTrigger,
  type KafkaTrigger,
  SCHEDULE_STEP_SECONDS,
  type Trigger,
} from "../../../functions/manifest.ts";
import { type CronRunner, startCrons } from "./cron-runner.ts";
import type { LoadedFunction } from "./function-loader.ts";
import { type HttpServer, type LocalRoute, startHttpServer } from "./http-server.ts";
import { type KafkaFunction, type KafkaPoller, startKafkaPoller } from "./poller/index.ts";
import { invoke } from "./poller/invocation.ts";
import { isPortFree } from "./ports.ts";
import type { Topic } from "./runtime-servers.ts";

interface Wired<Kind extends Trigger, Handler> extends FunctionEntry<Kind> {
  readonly handler: Handler;
  readonly routes?: Routes;
}

/** The name of a deployed function: `kafka/ingest-events` is `kafka-ingest-events`. */
const functionName = ({ file }: FunctionEntry): string => file.replaceAll("/", "-");

/** Topic `events` may go by another name (EVENTS_TOPIC), so that copies can share a broker. */
const topicName = (name: string): string => (name === EVENTS_TOPIC ? config().eventsTopic : name);

/** The topics that the manifest's functions read and write. */
export function topicsOf(partitions: number): readonly Topic[] {
  const triggers = functionsOf("kafka").map((entry) => entry.trigger);
  const sources = new Set(triggers.map(({ topic }) => topicName(topic)));
  const failures = new Set(triggers.map(({ onFailureTopic }) => onFailureTopic));
  return [
    ...[...sources].map((name) => ({
      name,
      partitions,
      // Watermarks must not depend on the clocks of whoever produces.
      configs: { "message.timestamp.type": "LogAppendTime" },
    })),
    ...[...failures].map((name) => ({ name, partitions: 1 })),
  ];
}

export interface PollersOptions {
  readonly loaded: readonly LoadedFunction[];
  readonly brokers: readonly string[];
  /** Of `databaseIdentity`. */
  readonly database: string;
  readonly log: Logger;
  readonly clock: Clock;
}

/**
 * The group is the database's: how far a topic is read belongs to what it was read into. A database
 * that is new to the broker begins at the beginning.
 */
export function startPollers(options: PollersOptions): readonly KafkaPoller[] {
  const { loaded, brokers, database, log, clock } = options;
  return wired<KafkaTrigger, KafkaFunction>(loaded, "kafka").map((entry) =>
    startKafkaPoller({
      kafka: { brokers, clientId: `headrace-${functionName(entry)}` },
      trigger: { ...entry.trigger, topic: topicName(entry.trigger.topic) },
      function: {
        name: functionName(entry),
        handler: entry.handler,
        timeoutSeconds: entry.timeoutSeconds,
        memoryMegabytes: entry.memoryMegabytes,
      },
      group: `headrace-${functionName(entry)}-${database}`,
      logger: log,
      clock,
      stopTimeoutMillis: 2_000,
    }),
  );
}

/** A short name of the database: another one after a restore, a move or a `--fresh`. */
export async function databaseIdentity(owner: Sql): Promise<string> {
  const { rows } = await owner.query<{ identity: string }>(
    `select server_identity() || '/' || oid as identity
     from pg_database
     where datname = current_database()`,
  );
  return createHash("sha256").update(String(rows[0]?.identity)).digest("hex").slice(0, 12);
}

/**
 * Crons below the scheduler's least step are run by `pulse`. A function that may take longer than its
 * pace (pulse) is meant to be overlapped by its next invocation. Once `ending` is aborted a function
 * sees no time left, upon which those that wait for the end of theirs end.
 */
export function startSchedule(
  loaded: readonly LoadedFunction[],
  log: Logger,
  ending: AbortSignal,
): CronRunner {
  const scheduled = wired<CronTrigger, CronHandler>(loaded, "cron").filter(
    ({ trigger }) => trigger.every >= SCHEDULE_STEP_SECONDS,
  );
  return startCrons(
    scheduled.map((entry) => ({
      name: functionName(entry),
      everySeconds: entry.trigger.every,
      overlaps: entry.timeoutSeconds > entry.trigger.every,
      run: () => invokeCron(entry, ending),
    })),
    log,
  );
}

async function invokeCron(
  entry: Wired<CronTrigger, CronHandler>,
  ending: AbortSignal,
): Promise<void> {
  const { outcome } = await invoke(
    {
      name: functionName(entry),
      timeoutSeconds: entry.timeoutSeconds,
      memoryMegabytes: entry.memoryMegabytes,
      handler: (event: unknown, { awsRequestId, getRemainingTimeInMillis }) =>
        entry.handler(event, {
          awsRequestId,
          getRemainingTimeInMillis: () => (ending.aborted ? 0 : getRemainingTimeInMillis()),
        }),
    },
    {},
  );
  if ("error" in outcome) throw outcome.error;
}

/**
 * Throws `port.in_use` (conflict). Binding the port later says so too, but only after the servers
 * have started in vain.
 */
export async function requireFreePort(port: number): Promise<void> {
  const other = "choose another (--port N, HEADRACE_PORT)";
  const isFree = await isPortFree(port).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw conflict("port.not_usable", `Port ${port} cannot be used (${why}): ${other}.`);
  });
  if (!isFree)
    throw conflict("port.in_use", `Port ${port} is in use. Stop what listens there, or ${other}.`);
}

export interface ApiOptions {
  readonly loaded: readonly LoadedFunction[];
  readonly port: number;
  readonly portWasNamed: boolean;
  readonly log: Logger;
}

/** Throws `port.in_use` (conflict). */
export async function startApi(options: ApiOptions): Promise<HttpServer> {
  const { port, portWasNamed, log } = options;
  const routes = new Map<RouteKey, LocalRoute>();
  const functions = wired<HttpTrigger, HttpHandler>(options.loaded, "http");
  for (const { trigger, handler, timeoutSeconds, routes: own } of functions)
    for (const { method, path } of trigger.routes) {
      const key: RouteKey = `${method} ${path}`;
      const { maxBodyBytes = DEFAULT_MAX_BODY_BYTES } = own?.[key]?.spec ?? {};
      routes.set(key, { handler, timeoutSeconds, maxBodyBytes });
    }
  return await startHttpServer({ port, portWasNamed, routes, log });
}

/** What a file exports as `handler` is taken to fit its trigger: the wrappers see to that. */
function wired<Kind extends Trigger, Handler>(
  loaded: readonly LoadedFunction[],
  kind: Kind["kind"],
): readonly Wired<Kind, Handler>[] {
  return loaded
    .filter(({ entry }) => entry.trigger.kind === kind)
    .map(({ entry, ...own }) => ({ ...entry, ...own }) as unknown as Wired<Kind, Handler>);
}
