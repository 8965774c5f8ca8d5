/**
 * Records that lie in Kafka → stored, by the whole system: rows a second over the middle of the run,
 * so that neither its start nor its end counts.
 *
 * The records are all in one partition before the system starts to read them: a producer beside it
 * would take the cores that are measured.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createAdmin, createProducer } from "@headrace/kafka";
import { startKafka } from "@headrace/local";
import { produce, storedEvents, withSystem } from "./system.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

export async function endToEndRate(count: number): Promise<number> {
  const folder = await mkdtemp(join(ROOT, ".headrace/bench-"));
  const kafka = await startKafka({ folder, jarsFolder: join(ROOT, ".headrace/jars") });
  try {
    const brokers = [...kafka.brokers];
    const admin = createAdmin({ brokers });
    const configs = { "message.timestamp.type": "LogAppendTime" };
    await admin.ensureTopic("events", { partitions: 1, configs });
    await admin.close();
    const producer = createProducer({ brokers });
    const now = Date.now();
    const stretch = { fromMillis: now - 60_000, toMillis: now };
    await produce({ producer } as never, {
      seed: 1,
      count,
      users: 100_000,
      partition: 0,
      ...stretch,
    });
    await producer.close();
    return await withSystem(["--partitions", "1"], (system) => middleRate(system, count), {
      KAFKA_BROKERS: brokers.join(","),
    });
  } finally {
    await kafka.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function middleRate(
  system: Parameters<typeof storedEvents>[0],
  count: number,
): Promise<number> {
  const samples: { at: number; stored: number }[] = [];
  for (;;) {
    const stored = await storedEvents(system);
    samples.push({ at: performance.now(), stored });
    if (stored >= count) break;
    await sleep(100);
  }
  const first = samples.find(({ stored }) => stored >= count * 0.2);
  const last = samples.findLast(({ stored }) => stored <= count * 0.95);
  if (first === undefined || last === undefined || last.at <= first.at) {
    throw new Error("the run was over before it could be measured: raise the number of records");
  }
  return ((last.stored - first.stored) / (last.at - first.at)) * 1000;
}
