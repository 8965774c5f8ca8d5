/** A port that was free when it was chosen is taken when the server binds it. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchKafkaJars, removePostgres, startKafka, startPostgres } from "@headrace/local";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { JARS_FOLDER, kafkaBrokers, TEST_SETTINGS } from "../support/servers.ts";

const chosen = vi.hoisted(() => ({ next: [] as number[] }));
vi.mock("../../packages/local/src/ports.ts", async (importOriginal) => {
  const ports = await importOriginal<typeof import("../../packages/local/src/ports.ts")>();
  return { ...ports, freePort: async () => chosen.next.shift() ?? (await ports.freePort()) };
});

const other = createServer();
let folder: string;
let taken: number;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-ports-"));
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  taken = (other.address() as { port: number }).port;
});
afterAll(async () => {
  other.close();
  await removePostgres(join(folder, "postgres"));
  await rm(folder, { recursive: true, force: true });
});

test("PostgreSQL takes another port", async () => {
  chosen.next = [taken];
  const server = await startPostgres({
    folder: join(folder, "postgres"),
    password: "x",
    settings: TEST_SETTINGS,
  });
  expect(chosen.next).toEqual([]);
  expect(server.port).not.toBe(taken);
  await server.kill();
});

test("Kafka takes another port, and does not mistake the Kafka that has the first for itself", async () => {
  await fetchKafkaJars(JARS_FOLDER);
  const [other = ""] = await kafkaBrokers();
  chosen.next = [Number(other.split(":")[1])];
  const server = await startKafka({ folder: join(folder, "kafka"), jarsFolder: JARS_FOLDER });
  expect(chosen.next).toEqual([]);
  expect(server.brokers).not.toEqual([other]);
  await server.kill();
}, 60_000);
