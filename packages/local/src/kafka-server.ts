/**
 * An Apache Kafka of our own: one KRaft broker from jars, made, started, watched, ended.
 *
 * One running broker per folder. Topics and committed offsets survive stop and kill -9 of the
 * process; not a crash of the machine, as Kafka leaves writing out to the system. A broker that a
 * killed runtime left behind is ended first. It listens on 127.0.0.1 alone and asks for no password,
 * unless more listeners are given that do.
 */
import { existsSync } from "node:fs";
import { mkdir, realpath, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { unavailable } from "@headrace/kernel";
import { Admin } from "@platformatic/kafka";
import { type Child, type ChildExit, settlesWithin, startChild, stopChild } from "./child.ts";
import { type LogMark, logSince, markLog } from "./child-log.ts";
import { explainFileError } from "./home-file-error.ts";
import { lockFolder } from "./home-lock.ts";
import {
  endOrphan,
  format,
  readClusterId,
  rememberProcess,
  writeConfig,
} from "./kafka-server-data.ts";
import { explainFailure, portTaken, portWasTaken } from "./kafka-server-failure.ts";
import { freePort, isPortFree } from "./ports.ts";
import { findJava } from "./prerequisites.ts";

export interface KafkaOptions {
  /** Holds everything of this broker; made if missing. */
  readonly folder: string;
  /** Filled by `fetchKafkaJars`. */
  readonly jarsFolder: string;
  /** Default `FOLDER/kafka.log`. */
  readonly logFile?: string;
  /** Default: a free one, another one at each start. */
  readonly port?: number;
  /** Beside the one without a password, as in `SCRAM://127.0.0.1:9095`; `settings` say how they work. */
  readonly listeners?: readonly string[];
  /** Lines of `server.properties`, over our own. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface KafkaServer {
  readonly brokers: readonly string[];
  readonly pid: number;
  /** Settles when the broker is gone, whoever ended it. */
  readonly exited: Promise<ChildExit>;
  /** Writes everything out; after 4 s without, and within 5 s in all. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** Ready when its metadata names the controller. Throws `AppError`s whose message says what to do. */
export async function startKafka(options: KafkaOptions): Promise<KafkaServer> {
  await mkdir(options.folder, { recursive: true });
  const folder = await realpath(options.folder);
  const lock = lockFolder(folder);
  try {
    const java = await findJava();
    await endOrphan(folder);
    const { child, port } = await startIn(folder, java, options);
    void child.exited.then(() => lock.release());
    return {
      brokers: [`127.0.0.1:${port}`],
      pid: child.pid,
      exited: child.exited,
      stop: () => stopChild(child, STOP_STEPS),
      kill: () => stopChild(child, STOP_STEPS.slice(-1)),
    };
  } catch (error) {
    lock.release();
    throw explainFileError(error, folder);
  }
}

/**
 * Removes a broker's folder. A broker that was left in it is ended; one that somebody still runs is
 * `conflict` (`folder.in_use`).
 */
export async function removeKafka(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  const lock = lockFolder(folder);
  try {
    await endOrphan(folder);
    await rm(folder, { recursive: true, force: true });
  } finally {
    lock.release();
  }
}

interface Launched {
  readonly child: Child;
  readonly port: number;
  readonly clusterId: string;
  readonly log: LogMark;
}

async function startIn(folder: string, java: string, options: KafkaOptions) {
  const logFile = resolve(options.logFile ?? join(folder, "kafka.log"));
  const classPath = join(resolve(options.jarsFolder), "*");
  // A port may be lost between choice and bind; losing ten in a row is no accident.
  for (let attempt = 1; ; attempt++) {
    // Told at once: the JVM would need two seconds to find out.
    if (options.port !== undefined && !(await isPortFree(options.port)))
      throw portTaken(options.port);
    const port = options.port ?? (await freePort());
    const { listeners = [], settings } = options;
    await writeConfig(folder, { port, controllerPort: await freePort(), listeners }, settings);
    await format(folder, java, classPath);
    const mark = await markLog(logFile);
    const child = await startChild({
      command: java,
      args: [...JVM, "-cp", classPath, "kafka.Kafka", "server.properties"],
      cwd: folder,
      env: process.env,
      logFile,
      guardSignal: "TERM",
    });
    await rememberProcess(folder, child.pid);
    const clusterId = await readClusterId(folder);
    const failure = await untilReady({ child, port, clusterId, log: mark });
    if (failure === undefined) return { child, port };
    await stopChild(child, STOP_STEPS);
    if (!portWasTaken(failure) || attempt === 10) throw explainFailure(folder, mark.file, failure);
  }
}

const JVM = [
  "-Xmx512M",
  "-XX:+UseSerialGC",
  // Starts a second sooner; the best code is not worth its compilation on one machine's load.
  "-XX:TieredStopAtLevel=1",
  "-XX:-UsePerfData",
  "-XX:+ExitOnOutOfMemoryError",
  "-Djava.awt.headless=true",
  "-Dlog4j2.configurationFile=log4j2.properties",
] as const;

const READY_TIMEOUT_MS = 60_000;

/** Undefined when ready, else what the log said. */
async function untilReady(launched: Launched): Promise<string | undefined> {
  const { child, log } = launched;
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (await answers(launched)) return undefined;
    if (await settlesWithin(child.exited, 50)) return await logSince(log, 40);
  }
  throw unavailable(
    "kafka.not_ready",
    `Kafka did not become ready within ${READY_TIMEOUT_MS / 1000} s. Its log: ${log.file}`,
  );
}

/**
 * The port answers before the broker can serve, so its metadata must name the controller; and if the
 * port was lost to another Kafka, that one answers, so it must name our cluster.
 */
async function answers({ child, port, clusterId }: Launched): Promise<boolean> {
  // A fresh client each time: nothing is remembered.
  const admin = new Admin({
    clientId: "headrace-local",
    bootstrapBrokers: [`127.0.0.1:${port}`],
    retries: 0,
    connectTimeout: 1000,
    requestTimeout: 1000,
  });
  // Whoever took our port may never answer; our broker has ended long before that is clear.
  const gone = child.exited.then(() => undefined);
  try {
    const metadata = await Promise.race([admin.metadata({ topics: [] }), gone]);
    return metadata?.id === clusterId && metadata.brokers.has(metadata.controllerId);
  } catch {
    return false; // not yet
  } finally {
    await admin.close();
  }
}

const STOP_STEPS = [
  { signal: "SIGTERM", waitMs: 4000 },
  { signal: "SIGKILL", waitMs: 1000 },
] as const;
