/** A broker of a test file's own, to be stopped, killed and started again at the same address. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchKafkaJars, type KafkaServer, startKafka } from "@headrace/local";
import { afterAll, expect } from "vitest";
import { JARS_FOLDER } from "../support/servers.ts";

export interface OwnBroker {
  readonly brokers: readonly string[];
  /** kill -9 and a start with the same data. */
  restart(): Promise<void>;
  /** kill -9 and a start with the same data at another port; answers the new address. */
  move(): Promise<readonly string[]>;
  /** SIGSTOP: connections stay open and nobody answers. */
  freeze(): Promise<void>;
  thaw(): void;
}

export async function ownBroker(): Promise<OwnBroker> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-broker-"));
  await fetchKafkaJars(JARS_FOLDER);
  let server: KafkaServer = await startKafka({ folder, jarsFolder: JARS_FOLDER });
  const port = Number(server.brokers[0]?.split(":")[1]);
  afterAll(async () => {
    await server.kill();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    brokers: server.brokers,
    async restart() {
      await server.kill();
      server = await startKafka({ folder, jarsFolder: JARS_FOLDER, port });
    },
    async move() {
      await server.kill();
      server = await startKafka({ folder, jarsFolder: JARS_FOLDER });
      return server.brokers;
    },
    async freeze() {
      process.kill(server.pid, "SIGSTOP");
      if (process.platform === "linux")
        await expect
          .poll(() => hasStopped(server.pid), { interval: 1, timeout: 10_000 })
          .toBe(true);
    },
    thaw: () => void process.kill(server.pid, "SIGCONT"),
  };
}

/** Each thread stops for itself, and one that has not yet may still answer. */
async function hasStopped(pid: number): Promise<boolean> {
  const tasks = `/proc/${pid}/task`;
  const stats = await Promise.all(
    (await readdir(tasks)).map((tid) => readFile(`${tasks}/${tid}/stat`, "latin1")),
  );
  return stats.every((stat) => stat.slice(stat.lastIndexOf(")") + 2).startsWith("T"));
}
