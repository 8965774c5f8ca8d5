/** The whole system as `npm start` runs it, in a process of its own, and what a bench asks of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createProducer, type Producer } from "@headrace/kafka";
import { removePostgres } from "@headrace/local";
import { generateEvents } from "@headrace/traffic";

const ROOT = new URL("../../", import.meta.url).pathname;

export interface System {
  readonly url: string;
  readonly brokers: readonly string[];
  readonly databaseUrl: string;
  readonly producer: Producer;
  get(path: string): Promise<unknown>;
}

/** Starts it with empty data, hands it to `work`, ends it. `flags` as of `npm start`. */
export async function withSystem<Result>(
  flags: readonly string[],
  work: (system: System) => Promise<Result>,
  environment: NodeJS.ProcessEnv = {},
): Promise<Result> {
  const home = await mkdtemp(join(ROOT, ".headrace/bench-"));
  const jars = join(ROOT, ".headrace/jars");
  if (existsSync(jars)) await cp(jars, join(home, "jars"), { recursive: true });
  const child = spawn(
    process.execPath,
    ["packages/local/src/main.ts", "--home", home, "--no-traffic", ...flags],
    { cwd: ROOT, env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "inherit"] },
  );
  try {
    await untilReady(child);
    const running = JSON.parse(await readFile(join(home, "running.json"), "utf8")) as {
      url: string;
      token: string;
      databaseUrl: string;
      kafkaBrokers: string[];
    };
    const headers = { authorization: `Bearer ${running.token}` };
    const producer = createProducer({ brokers: running.kafkaBrokers });
    try {
      return await work({
        url: running.url,
        brokers: running.kafkaBrokers,
        databaseUrl: running.databaseUrl,
        producer,
        async get(path) {
          const answer = await fetch(`${running.url}${path}`, { headers });
          if (!answer.ok)
            throw new Error(`${path} answers ${answer.status}: ${await answer.text()}`);
          return answer.json();
        },
      });
    } finally {
      await producer.close();
    }
  } finally {
    child.kill("SIGINT");
    if (child.exitCode === null) await new Promise((resolve) => child.once("exit", resolve));
    await removePostgres(join(home, "data/postgres"));
    await rm(home, { recursive: true, force: true });
  }
}

function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
      if (/^ready /m.test(printed)) resolve();
    });
    child.once("exit", (code) => reject(new Error(`npm start ended with ${code}:\n${printed}`)));
  });
}

interface Progress {
  readonly partitions: readonly { readonly topic: string; readonly events: number }[];
}

export async function storedEvents(system: System): Promise<number> {
  const { partitions } = (await system.get("/v1/progress")) as Progress;
  return partitions.reduce(
    (sum, { topic, events }) => (topic === "events" ? sum + events : sum),
    0,
  );
}

export async function untilStored(system: System, events: number): Promise<void> {
  while ((await storedEvents(system)) < events) await sleep(50);
}

export interface Load {
  readonly seed: number;
  readonly count: number;
  readonly users: number;
  readonly fromMillis: number;
  readonly toMillis: number;
  /** Default: by the user's id. */
  readonly partition?: number;
}

const SLICE = 2_000;

/** Produces events as fast as Kafka takes them. */
export async function produce(system: System, { partition, ...options }: Load): Promise<void> {
  let slice: { topic: string; key: string; value: string; partition?: number }[] = [];
  for (const { key, value } of generateEvents(options)) {
    slice.push({ topic: "events", key, value, ...(partition === undefined ? {} : { partition }) });
    if (slice.length < SLICE) continue;
    await system.producer.send(slice);
    slice = [];
  }
  if (slice.length > 0) await system.producer.send(slice);
}
