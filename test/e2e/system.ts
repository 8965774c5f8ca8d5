/** The whole system in a process of its own, as `npm start` runs it, on a folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fetchKafkaJars, removePostgres } from "@headrace/local";
import { JARS_FOLDER } from "../support/servers.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

export interface Running {
  readonly url: string;
  readonly token: string;
  readonly databaseUrl: string;
  readonly kafkaBrokers: string[];
  readonly pid: number;
}

export interface TestSystem extends Running {
  readonly home: string;
  readonly process: ChildProcess;
  readonly exited: Promise<void>;
  get(path: string): Promise<unknown>;
  /** Ends it in order and removes its folder. */
  stop(): Promise<void>;
}

export async function startSystem(
  flags: readonly string[] = [],
  home?: string,
): Promise<TestSystem> {
  const folder = home ?? (await newHome());
  const child = spawn(
    process.execPath,
    [
      "packages/local/src/main.ts",
      "--home",
      folder,
      ...(flags.length === 0 ? ["--no-traffic"] : flags),
    ],
    {
      cwd: ROOT,
      env: { ...process.env, DATABASE_URL: "", KAFKA_BROKERS: "", NODE_ENV: "", HEADRACE_HOME: "" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await untilReady(child);
  const running = JSON.parse(await readFile(join(folder, "running.json"), "utf8")) as Running;
  return {
    ...running,
    home: folder,
    process: child,
    exited,
    async get(path) {
      const headers = { authorization: `Bearer ${running.token}` };
      const answer = await fetch(`${running.url}${path}`, { headers });
      if (!answer.ok) throw new Error(`${path} answers ${answer.status}: ${await answer.text()}`);
      return answer.json();
    },
    async stop() {
      child.kill("SIGINT");
      await exited;
      await removePostgres(join(folder, "data/postgres"));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function newHome(): Promise<string> {
  await fetchKafkaJars(JARS_FOLDER);
  const home = await mkdtemp(join(ROOT, ".headrace/e2e-"));
  await symlink(JARS_FOLDER, join(home, "jars"));
  return home;
}

function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = "";
    const note = (chunk: Buffer): void => {
      printed += chunk.toString();
      if (/^ready /m.test(printed)) resolve();
    };
    child.stdout?.on("data", note);
    child.stderr?.on("data", note);
    child.once("exit", (code) => reject(new Error(`it ended with ${code}:\n${printed}`)));
  });
}
