/** `npm start` as another program sees it: a process with output, signals and children. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fetchKafkaJars, type Running, removeKafka, removePostgres } from "@headrace/local";
import {
  childrenOf,
  commandLine,
  identifyProcess,
  isRunning,
} from "../../packages/local/src/child-identity.ts";
import { JARS_FOLDER } from "../support/servers.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
const MAIN = join(REPOSITORY, "packages/local/src/main.ts");

export interface Started {
  readonly pid: number;
  /** Both outputs so far. */
  output(): string;
  /** Code, or the signal that ended it. */
  readonly exit: Promise<number | string>;
  /** Resolves with the base URL of the ready line; rejects when the process ends before. */
  ready(): Promise<string>;
  signal(name: NodeJS.Signals): void;
}

/** A HOME beneath the repository's own, whose jars it shares; of mode 700, which root must cope with. */
export async function makeHome(): Promise<string> {
  await fetchKafkaJars(JARS_FOLDER);
  const parent = join(REPOSITORY, ".headrace");
  await mkdir(parent, { recursive: true });
  const home = await mkdtemp(join(parent, "runtime-test-"));
  await symlink(JARS_FOLDER, join(home, "jars"));
  return home;
}

export async function removeHome(home: string): Promise<void> {
  await removePostgres(join(home, "data/postgres"));
  await removeKafka(join(home, "data/kafka"));
  await rm(home, { recursive: true, force: true });
}

export interface StartSetup {
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** As a user does it, or the program itself. */
  readonly by?: "npm" | "node";
  /** Default: that of `npm start`. */
  readonly program?: string;
}

const everStarted: Started[] = [];

/** For the end of a test file: kill -9 to whatever it has started and left. */
export async function killAll(): Promise<void> {
  for (const one of everStarted) one.signal("SIGKILL");
  await Promise.all(everStarted.map((one) => one.exit));
}

export function startProcess(setup: StartSetup): Started {
  const { args, env = {}, by = "node", program = MAIN } = setup;
  const [command, before] = by === "npm" ? ["npm", ["start", "--"]] : [process.execPath, [program]];
  const child = spawn(command, [...before, ...args], {
    cwd: REPOSITORY,
    // A session of its own, as in a terminal: signals to it do not reach the test's process.
    detached: true,
    env: { ...plainEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return started(child);
}

/** Without what vitest and npm put there, and without servers that the run may have been told of. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = ["PATH", "HOME", "JAVA_HOME", "LANG", "TMPDIR"];
  return Object.fromEntries(kept.map((name) => [name, process.env[name]]));
}

function started(child: ChildProcess): Started {
  let output = "";
  const changed = new EventTarget();
  const collect = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
    changed.dispatchEvent(new Event("output"));
  };
  child.stdout?.on("data", collect);
  child.stderr?.on("data", collect);
  const exit = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  const url = (): string | undefined => /^ready (\S+)$/m.exec(output)?.[1];
  const it: Started = {
    pid: child.pid as number,
    output: () => output,
    exit,
    ready() {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          const found = url();
          if (found !== undefined) resolve(found);
        };
        changed.addEventListener("output", look);
        look();
        void exit.then((code) => reject(new Error(`ended with ${code} before ready:\n${output}`)));
      });
    },
    signal: (name) => void child.kill(name),
  };
  everStarted.push(it);
  return it;
}

export async function readRunning(home: string): Promise<Running> {
  return JSON.parse(await readFile(join(home, "running.json"), "utf8")) as Running;
}

export interface ProcessTree {
  living(): readonly number[];
  /** The one whose command line holds the text. */
  find(text: string): number;
}

/** A process and all its descendants as they are now. */
export function processTree(root: number): ProcessTree {
  const pids = [root];
  for (const pid of pids) pids.push(...childrenOf(pid));
  const known = pids.flatMap((pid) => identifyProcess(pid) ?? []);
  return {
    living: () => known.filter(isRunning).map(({ pid }) => pid),
    find(text) {
      const found = pids.find((pid) => commandLine(pid)?.includes(text));
      if (found === undefined) throw new Error(`no process of ${root} has "${text}"`);
      return found;
    },
  };
}

/** Processes that name the folder in their command line or work in it. */
export async function processesIn(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => "");
    if (command.includes(folder) || cwd.startsWith(folder))
      found.push(`${pid} ${command.replaceAll("\0", " ")}`);
  }
  return found;
}

/** Waits until `look` gives something, and tells what it waited for when it never does. */
export async function eventually<Value>(
  what: string,
  look: () => Promise<Value | undefined>,
  withinMillis = 10_000,
): Promise<Value> {
  const deadline = performance.now() + withinMillis;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`not within ${withinMillis} ms: ${what}`);
    await sleep(20);
  }
}
