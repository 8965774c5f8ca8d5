/**
 * Headrace whole on one machine: servers, schema, topics, every function of the manifest behind its
 * trigger, and the simulated shop. `npm start` is this with a console; benches and end-to-end tests
 * call it directly.
 *
 * One at a time in a process: its functions share the environment and the connection pools. It never
 * ends the process and handles no signal. When an own server crashes, everything is ended in order.
 */
import { join } from "node:path";
import { createPool, type Pool } from "@headrace/db";
import {
  closePools,
  closeProducers,
  config,
  forgetConfig,
  SCOPES,
  systemClock,
  useLogger,
} from "@headrace/handler";
import { createProducer } from "@headrace/kafka";
import { type AppError, conflict, type Logger, silentLogger } from "@headrace/kernel";
import { customersFor, loadShop, startTraffic } from "@headrace/traffic";
import { type DevelopmentIssuer, developmentIssuer } from "./dev-issuer.ts";
import { type LoadedFunction, loadFunctions } from "./function-loader.ts";
import { openFunctionLog } from "./function-log.ts";
import { type Home, openHome, type Running } from "./home.ts";
import type { KafkaServer } from "./kafka-server.ts";
import type { PostgresServer } from "./postgres.ts";
import { Ending, SERVERS } from "./runtime-ending.ts";
import { enterEnvironment } from "./runtime-environment.ts";
import { pulseFence, untilReady } from "./runtime-ready.ts";
import { type Servers, startServers } from "./runtime-servers.ts";
import {
  databaseIdentity,
  requireFreePort,
  startApi,
  startPollers,
  startSchedule,
  topicsOf,
} from "./runtime-triggers.ts";

export interface RuntimeOptions {
  readonly home: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Whether that very port is meant: then one in use is an error, else it is stepped past. */
  readonly portWasNamed?: boolean;
  /** Events per second of the simulated shop; default 0, there is none. */
  readonly trafficPerSecond?: number;
  /** Of topic `events`, at least; default 4. */
  readonly partitions?: number;
  /** Begin with empty data. */
  readonly fresh?: boolean;
  readonly databaseUrl?: string | undefined;
  readonly kafkaBrokers?: readonly string[] | undefined;
  /** Default `HOME/jars`. */
  readonly jarsFolder?: string;
  /** Aborted: a start under way ends what it has begun and rejects. */
  readonly signal?: AbortSignal;
  /** Receives short lines for a person: how the start goes on, and errors later. */
  readonly notice?: (line: string) => void;
}

/** All that `running.json` holds, and: */
export interface Runtime extends Running {
  readonly home: Home;
  /** Milliseconds from the beginning to the end of each phase of the start. */
  readonly phases: Readonly<Record<string, number>>;
  /** Own servers, for measuring and for faults. */
  readonly postgres: PostgresServer | undefined;
  readonly kafka: KafkaServer | undefined;
  /** Settles when everything has ended: undefined after `stop`, else the crash that was the reason. */
  readonly ended: Promise<AppError | undefined>;
  /** Ends everything in order within 10 s; data stays. Safe to call twice. */
  stop(): Promise<void>;
}

let isTaken = false;

/** Resolves when everything answers. Throws `AppError`s whose message says what to do. */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  if (isTaken)
    throw conflict("runtime.running", "a runtime is up in this process already: stop it first");
  isTaken = true;
  const start = new Start(options);
  try {
    return await start.run();
  } catch (error) {
    await start.end();
    throw start.crash ?? error;
  }
}

const DEFAULT_PARTITIONS = 4;
/** Of the token in `running.json`: a copy that runs for weeks still answers to it. */
const TOKEN_SECONDS = 30 * 86_400;

class Start {
  readonly #options: RuntimeOptions;
  readonly #ending = new Ending();
  /** Aborted by whatever begins the end. */
  readonly #aborting = new AbortController();
  readonly #signal: AbortSignal;
  readonly #phases: Record<string, number> = {};
  readonly #beganAt = performance.now();
  #log: Logger = silentLogger;
  #quieten: () => void = () => {};
  #ended: Promise<void> | undefined;
  crash: AppError | undefined;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    const { signal } = this.#aborting;
    this.#signal =
      options.signal === undefined ? signal : AbortSignal.any([signal, options.signal]);
  }

  async run(): Promise<Runtime> {
    const { port = 0, portWasNamed = false, fresh = false } = this.#options;
    forgetConfig();
    if (portWasNamed) await requireFreePort(port);
    this.#signal.throwIfAborted();
    const home = await openHome(this.#options.home, { fresh });
    this.#ending.add("home", () => home.close());
    await this.#openLog(home);
    // Begun before the servers, because it takes a processor about as long as they take to start.
    // The function that a deploy starts is not among them: `startServers` makes schema and topics.
    const loading = loadFunctions(["kafka", "cron", "http"]);
    loading.catch(() => {}); // awaited below
    const servers = await this.#startServers(home);
    const loaded = await loading;
    this.#passed("servers, functions");
    const issuer = developmentIssuer(home.secrets.signingKey);
    this.#enter(servers, issuer);
    const running = await this.#startTriggers(servers, loaded, issuer).catch(async (error) => {
      throw (await servers.postgres?.explain(error)) ?? error;
    });
    this.#passed("ready");
    await home.writeRunning(running);
    this.#startTraffic(running);
    this.#log.info("ready", { url: running.url, phases: this.#phases });
    return this.#runtime(running, home, servers);
  }

  /** Ends what was begun, once, whoever asks. */
  end(): Promise<void> {
    this.#aborting.abort(this.crash);
    this.#quieten();
    this.#ended ??= this.#ending.run(this.#log).finally(() => {
      isTaken = false;
    });
    return this.#ended;
  }

  async #openLog(home: Home): Promise<void> {
    const log = await openFunctionLog({
      file: join(home.logsFolder, "functions.log"),
      clock: systemClock,
      level: config().logLevel,
      notice: (line) => this.#notice(line),
    });
    this.#log = log.logger;
    this.#quieten = log.quieten;
    useLogger(log.logger);
    this.#ending.add("log", async () => {
      useLogger(undefined);
      await log.close();
    });
  }

  async #startServers(home: Home): Promise<Servers> {
    this.#signal.throwIfAborted();
    const { partitions = DEFAULT_PARTITIONS, ...options } = this.#options;
    const servers = await startServers({
      home,
      jarsFolder: options.jarsFolder,
      databaseUrl: options.databaseUrl,
      kafkaBrokers: options.kafkaBrokers,
      topics: topicsOf(partitions),
      notice: (line) => this.#notice(`${line} (${this.#elapsedSeconds()} s)`),
    });
    this.#ending.add(SERVERS, () => servers.stop());
    void servers.crashed.then((crash) => {
      this.crash = crash;
      return this.end();
    });
    return servers;
  }

  #enter({ databaseUrl, brokers }: Servers, issuer: DevelopmentIssuer): void {
    const leave = enterEnvironment({ ownerUrl: databaseUrl, brokers, issuer });
    this.#ending.add("environment", async () => leave());
    this.#ending.add("producers", closeProducers);
    this.#ending.add("pools", async () => {
      await closePools();
      // The server may end a connection before it has read our good-bye; that is nobody's concern.
      useLogger(silentLogger);
    });
  }

  async #startTriggers(
    { databaseUrl, brokers, postgres }: Servers,
    loaded: readonly LoadedFunction[],
    issuer: DevelopmentIssuer,
  ): Promise<Running> {
    this.#signal.throwIfAborted();
    const owner = this.#openOwnersConnection(databaseUrl);
    const [database, fenceBefore] = await Promise.all([databaseIdentity(owner), pulseFence(owner)]);
    const [log, clock] = [this.#log, systemClock];
    const schedule = startSchedule(loaded, log, this.#aborting.signal);
    this.#ending.add("schedule", () => schedule.stop());
    const pollers = startPollers({ loaded, brokers, database, log, clock });
    this.#ending.add("pollers", async () => {
      await Promise.all(pollers.map((poller) => poller.stop()));
    });
    const { port = 0, portWasNamed = false } = this.#options;
    const api = await startApi({ loaded, port, portWasNamed, log });
    this.#ending.add("HTTP server", () => api.close(1_000));
    const token = await issuer.issue({ scopes: SCOPES, expiresInSeconds: TOKEN_SECONDS });
    const pollersRead = () => pollers.every((poller) => poller.hasPositions());
    const { url } = api;
    await untilReady({ url, token, owner, fenceBefore, pollersRead, signal: this.#signal });
    return {
      url,
      token,
      databaseUrl,
      kafkaBrokers: brokers,
      pid: process.pid,
      startedAt: new Date().toISOString(),
      ...(postgres?.outsidePlace === undefined ? {} : { postgresPlace: postgres.outsidePlace }),
    };
  }

  #openOwnersConnection(databaseUrl: string): Pool {
    const owner = createPool({ connectionString: databaseUrl, max: 1, idleTimeoutMillis: 1_000 });
    owner.on("error", (error) => this.#log.debug("an idle connection was lost", { error }));
    this.#ending.add("owner's connection", () => owner.end());
    return owner;
  }

  #startTraffic({ url, token, kafkaBrokers: brokers }: Running): void {
    const { trafficPerSecond: eventsPerSecond = 0 } = this.#options;
    if (eventsPerSecond === 0) return;
    const producer = createProducer(
      { brokers, clientId: "headrace-shop" },
      // Well below the 10 s in which everything ends, also with a dead Kafka.
      { sendTimeoutMs: 4_000 },
    );
    const [log, clock, topic] = [this.#log, systemClock, config().eventsTopic];
    const traffic = startTraffic({ producer, topic, eventsPerSecond, clock, log });
    const customers = customersFor(eventsPerSecond);
    const loading = loadShop({ api: { url, token }, customers, signal: this.#signal, log });
    this.#ending.add("simulated shop", async () => {
      await traffic.stop();
      await loading;
      await producer.close();
    });
  }

  #runtime(running: Running, home: Home, { postgres, kafka }: Servers): Runtime {
    const ended = Promise.withResolvers<AppError | undefined>();
    this.#aborting.signal.addEventListener("abort", () => {
      void this.end().then(() => ended.resolve(this.crash));
    });
    return {
      ...running,
      home,
      phases: this.#phases,
      postgres,
      kafka,
      ended: ended.promise,
      stop: () => this.end(),
    };
  }

  #passed(phase: string): void {
    this.#phases[phase] = Math.round(performance.now() - this.#beganAt);
  }

  #elapsedSeconds(): string {
    return ((performance.now() - this.#beganAt) / 1000).toFixed(1);
  }

  #notice(line: string): void {
    this.#options.notice?.(line);
  }
}
