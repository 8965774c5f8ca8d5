import { once } from "node:events";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdmin, createProducer } from "@headrace/kafka";
import { fetchKafkaJars, removeKafka, startKafka } from "@headrace/local";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { JARS_FOLDER } from "../support/servers.ts";
import { commandLine, killGuardOf, runElsewhere } from "./elsewhere.ts";

/** A Java virtual machine starts in each test, on two processors that others use too. */
const SLOW_MS = 60_000;

let base: string;
let folder: string;
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "headrace-kafka-"));
  folder = join(base, "comma, blank, ünïcödé");
  await fetchKafkaJars(JARS_FOLDER);
});
afterAll(() => rm(base, { recursive: true, force: true }));

async function start(folder: string, port?: number) {
  const server = await startKafka({
    folder,
    jarsFolder: JARS_FOLDER,
    ...(port === undefined ? {} : { port }),
  });
  onTestFinished(() => server.kill());
  return server;
}

async function produce(brokers: readonly string[]): Promise<void> {
  const producer = createProducer({ brokers });
  await producer.send([{ topic: "kept", partition: 0, value: "x" }]);
  await producer.close();
}

async function keptRecords(brokers: readonly string[]): Promise<number | undefined> {
  const admin = createAdmin({ brokers });
  try {
    return (await admin.offsets(["kept"]))[0]?.end;
  } finally {
    await admin.close();
  }
}

// One folder and as few starts as will do: each is a Java virtual machine.
test(
  "topics and records survive a stop and a kill; each start may have other ports, in any folder",
  async () => {
    const first = await start(folder);
    const admin = createAdmin({ brokers: first.brokers });
    await admin.ensureTopic("kept", { partitions: 1 });
    await admin.close();
    await produce(first.brokers);
    await first.stop();
    expect(commandLine(first.pid)).toBe("");

    const second = await start(folder);
    expect(second.brokers).not.toEqual(first.brokers);
    await produce(second.brokers);
    await expect(start(folder)).rejects.toMatchObject({ code: "folder.in_use" });
    await second.kill();

    const third = await start(folder, Number(second.brokers[0]?.split(":")[1]));
    expect(third.brokers).toEqual(second.brokers);
    expect(await keptRecords(third.brokers)).toBe(2);
    await third.stop();
  },
  SLOW_MS,
);

test(
  "a port that is taken, missing jars and damaged data are told, with a way out",
  async () => {
    const faulty = join(base, "faulty");
    await cp(folder, faulty, { recursive: true });

    const taken = createServer();
    taken.listen(0, "127.0.0.1");
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    await expect(start(faulty, port)).rejects.toMatchObject({ code: "kafka.port_taken" });

    await expect(
      startKafka({ folder: faulty, jarsFolder: join(base, "no jars") }),
    ).rejects.toMatchObject({ code: "kafka.jars_incomplete" });

    await writeFile(join(faulty, "data/meta.properties"), "version=1\ncluster.id=another\n");
    await expect(start(faulty)).rejects.toMatchObject({
      code: "kafka.not_started",
      message: expect.stringMatching(/damaged.*--fresh.*kafka\.log.*meta\.properties/s),
    });

    await rm(join(faulty, "data/meta.properties"));
    await expect(start(faulty)).rejects.toMatchObject({
      code: "kafka.damaged",
      message: expect.stringContaining("--fresh"),
    });
  },
  SLOW_MS,
);

test.skipIf(process.platform !== "linux")(
  "a broker that a killed runtime left in the folder is ended by whoever comes next",
  async () => {
    const runtime = await runElsewhere(
      "kafka-server.ts",
      `const server = await local.startKafka({ folder: ${JSON.stringify(folder)}, jarsFolder: ${JSON.stringify(JARS_FOLDER)} });
      console.log(server.pid);`,
    );
    const orphan = Number(runtime.line);
    killGuardOf(orphan);
    await runtime.kill();
    expect(commandLine(orphan)).toContain("kafka.Kafka");
    await removeKafka(folder);
    expect(commandLine(orphan)).toBe("");
  },
  SLOW_MS,
);

test("a missing Java is told, with what to install", async () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("PATH", base);
  vi.stubEnv("JAVA_HOME", undefined);
  await expect(start(join(base, "no java"))).rejects.toMatchObject({
    kind: "unavailable",
    code: "java.missing",
    message: expect.stringMatching(/version 17 or newer.*apt-get install.*KAFKA_BROKERS/),
  });
});
