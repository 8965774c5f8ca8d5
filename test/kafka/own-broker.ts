/** A broker of a test file's own, to be stopped, killed and started again at the same address. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchKafkaJars, type KafkaServer, startKafka } from "@headrace/local";
import { afterAll } from "vitest";
import { JARS_FOLDER } from "../support/servers.ts";

export interface OwnBroker {
  readonly brokers: readonly string[];
  /** kill -9 and a start with the same data. */
  restart(): Promise<void>;
  /** kill -9 and a start with the same data at another port; answers the new address. */
  move(): Promise<readonly string[]>;
  /** SIGSTOP: connections stay open and nobody answers. */
  freeze(): void;
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
    freeze: () => void process.kill(server.pid, "SIGSTOP"),
    thaw: () => void process.kill(server.pid, "SIGCONT"),
  };
}
