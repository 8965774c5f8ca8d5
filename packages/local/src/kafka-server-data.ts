/** A Kafka broker's folder: its configuration, made anew for each start, and its data, made once. */
import { randomBytes } from "node:crypto";
import { readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { conflict, unavailable } from "@headrace/kernel";
import { runTool } from "./child.ts";
import { commandLine, identifyProcess, isRunning, type ProcessIdentity } from "./child-identity.ts";

export interface KafkaPorts {
  readonly port: number;
  readonly controllerPort: number;
  /** More places to listen, as in `OAUTH://127.0.0.1:9095`. */
  readonly listeners?: readonly string[];
}

/**
 * Paths are relative to the folder, in which the broker runs: a properties file and `log.dirs` have
 * their own ideas about commas, blanks, backslashes and letters beyond ASCII.
 */
export async function writeConfig(
  folder: string,
  ports: KafkaPorts,
  changes: Readonly<Record<string, string>> = {},
): Promise<void> {
  const settings = { ...serverSettings(ports), ...changes };
  await writeFile(join(folder, "server.properties"), properties(settings));
  await writeFile(join(folder, "log4j2.properties"), properties(LOG_SETTINGS));
}

function serverSettings(ports: KafkaPorts): Readonly<Record<string, string>> {
  const { port, controllerPort, listeners = [] } = ports;
  const open = [`PLAINTEXT://127.0.0.1:${port}`, ...listeners];
  return {
    "process.roles": "broker,controller",
    "node.id": "1",
    listeners: [...open, `CONTROLLER://127.0.0.1:${controllerPort}`].join(","),
    "advertised.listeners": open.join(","),
    "controller.listener.names": "CONTROLLER",
    // Read at each start. A quorum written at formatting would keep the first start's port for ever.
    "controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
    "log.dirs": "data",
    // After kill -9 the broker may register again only when its old session has ended (default 9 s).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",

    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    // A topic mistyped must not come into being.
    "auto.create.topics.enable": "false",

    // What a batch of 6 MB, the most that a function is handed, may be sent as.
    "message.max.bytes": "8388608",
    "replica.fetch.max.bytes": "8388608",
    // A week of events, as in the cloud; a local disk is not to be filled by them.
    "log.retention.hours": "168",
    "log.retention.bytes": "2147483648",
    "log.segment.bytes": "134217728",
    // Offsets outlive the events, so that a copy left alone for a month goes on where it was.
    "offsets.retention.minutes": "129600",
    // One connection thread of each kind is plenty for one machine.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.dedupe.buffer.size": "16777216",
  };
}

/** To the process's own output, which is its log file: one file also for what the JVM itself says. */
const LOG_SETTINGS = {
  "appender.out.type": "Console",
  "appender.out.name": "out",
  "appender.out.layout.type": "PatternLayout",
  "appender.out.layout.pattern": "[%d] %p %m (%c)%n",
  "rootLogger.level": "WARN",
  "rootLogger.appenderRef.out.ref": "out",
  "logger.server.name": "kafka.server.KafkaRaftServer",
  "logger.server.level": "INFO",
} as const;

function properties(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

/**
 * Makes the data folder unless it is there: beside its place first, so that it is whole or absent.
 * Takes a JVM's start, 1.5 s.
 */
export async function format(folder: string, java: string, classPath: string): Promise<void> {
  const data = join(folder, "data");
  if (await holdsData(data)) return;
  const draft = "data.new";
  await rm(join(folder, draft), { recursive: true, force: true });
  const config = await readFile(join(folder, "server.properties"), "utf8");
  await writeFile(
    join(folder, "format.properties"),
    config.replace("\nlog.dirs=data\n", `\nlog.dirs=${draft}\n`),
  );
  const { code, output } = await runTool(
    java,
    [
      "-XX:+UseSerialGC",
      "-XX:TieredStopAtLevel=1",
      "-cp",
      classPath,
      "kafka.tools.StorageTool",
      "format",
      "-t",
      newClusterId(),
      "-c",
      "format.properties",
    ],
    { cwd: folder },
  );
  await rm(join(folder, "format.properties"));
  if (code !== 0)
    throw unavailable(
      "kafka.not_formatted",
      `Kafka could not make its data folder ${data}: ${output.split("\n").slice(-6).join("\n")}`,
    );
  await rm(data, { recursive: true, force: true });
  await rename(join(folder, draft), data);
}

/** One in 64 would begin with a dash, which the tool takes for a switch. */
export function newClusterId(): string {
  const id = randomBytes(16).toString("base64url");
  return id.startsWith("-") ? newClusterId() : id;
}

async function holdsData(data: string): Promise<boolean> {
  const entries = await readdir(data).catch(() => []);
  if (entries.length === 0) return false;
  if ((await stat(join(data, "meta.properties")).catch(() => undefined)) !== undefined) return true;
  throw conflict(
    "kafka.damaged",
    `${data} is no Kafka data folder any more: meta.properties is missing. Put a backup in its place, or begin with empty data: \`npm start -- --fresh\`.`,
  );
}

export async function readClusterId(folder: string): Promise<string> {
  const text = await readFile(join(folder, "data", "meta.properties"), "utf8");
  return /^cluster\.id=(.+)$/m.exec(text)?.[1] ?? "";
}

const PROCESS_FILE = "process.json";

/** So that a later start can find the broker if we die without ending it. */
export async function rememberProcess(folder: string, pid: number): Promise<void> {
  const identity = identifyProcess(pid);
  if (identity !== undefined) await writeFile(join(folder, PROCESS_FILE), JSON.stringify(identity));
}

/** Ends a broker that works in this folder although nobody who started it lives (we hold its lock). */
export async function endOrphan(folder: string): Promise<void> {
  const orphan = await readProcess(folder);
  if (orphan === undefined) return;
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (!isRunning(orphan) || !commandLine(orphan.pid)?.includes("kafka.Kafka")) return;
    process.kill(orphan.pid, signal);
    const deadline = Date.now() + 5000;
    while (isRunning(orphan) && Date.now() < deadline) await delay(20);
  }
}

/** Undefined also when the file was cut short: Kafka's own lock then says that a broker is left. */
async function readProcess(folder: string): Promise<ProcessIdentity | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, PROCESS_FILE), "utf8")) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
