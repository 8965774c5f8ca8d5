/**
 * kill -9 of PostgreSQL, of Kafka and of the runtime while traffic runs: after each a start on the
 * same folder goes on, and in the end everything equals the topic's log.
 */
import { execFileSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createPool } from "@headrace/db";
import { decodeEvent, isRefusal } from "@headrace/events";
import { createAdmin, readRange } from "@headrace/kafka";
import { expect, test } from "vitest";
import { allDifferences, oraclePool } from "../support/recompute.ts";
import { startSystem, type TestSystem } from "./system.ts";

const TRAFFIC = ["--traffic", "400"];

/** The runtime's children whose command line holds a word, and theirs. */
function pidsOf(system: TestSystem, word: "postgres" | "java"): number[] {
  const processes = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" })
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [])
    .map(([, pid, parent, args = ""]) => ({ pid: Number(pid), parent: Number(parent), args }));
  const own = processes.filter(({ parent, args }) => parent === system.pid && args.includes(word));
  const theirs = processes.filter(({ parent }) => own.some(({ pid }) => pid === parent));
  return [...own, ...theirs].map(({ pid }) => pid);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition().catch(() => false))) await sleep(100);
}

interface Partition {
  readonly topic: string;
  readonly events: number;
  readonly next_offset: number | null;
}
const progress = async (system: TestSystem): Promise<Partition[]> =>
  ((await system.get("/v1/progress")) as { partitions: Partition[] }).partitions.filter(
    ({ topic }) => topic === "events",
  );
const stored = async (system: TestSystem): Promise<number> =>
  (await progress(system)).reduce((sum, { events }) => sum + events, 0);

test("whatever is killed, what is stored in the end is what the topic's log holds", async () => {
  let system = await startSystem(TRAFFIC);
  const { home } = system;
  const victims = [
    () => pidsOf(system, "postgres"),
    () => pidsOf(system, "java"),
    () => [system.pid],
  ];
  try {
    for (const victim of victims) {
      const before = await stored(system);
      await until(async () => (await stored(system)) > before + 300);
      const pids = victim();
      expect(pids.length).toBeGreaterThan(0);
      for (const pid of pids) process.kill(pid, "SIGKILL");
      await system.exited;
      system = await startSystem(TRAFFIC, home);
    }
    const before = await stored(system);
    await until(async () => (await stored(system)) > before + 300);
    system.process.kill("SIGTERM");
    await system.exited;

    system = await startSystem([], home);
    const log = await readLog(system);
    await until(async () =>
      (await progress(system)).every(
        ({ next_offset }, partition) => (next_offset ?? 0) >= (log.ends[partition] ?? 0),
      ),
    );
    await compare(system, log);
  } finally {
    await system.stop();
    await rm(home, { recursive: true, force: true });
  }
}, 240_000);

interface Log {
  readonly ends: number[];
  /** Identities of all events that can be read. */
  readonly events: Set<string>;
  readonly unreadable: number;
}

async function readLog({ kafkaBrokers: brokers }: TestSystem): Promise<Log> {
  const admin = createAdmin({ brokers });
  const offsets = await admin.offsets(["events"]);
  await admin.close();
  const events = new Set<string>();
  let unreadable = 0;
  for (const { topic, partition, begin, end } of offsets) {
    for await (const part of readRange({ brokers }, topic, partition, begin, end)) {
      for (const { offset, timestampMillis, value } of part.records) {
        const position = { topic, partition, offset, timestampMillis };
        const event = decodeEvent(value, position, { horizonDays: 3650 });
        if (isRefusal(event)) unreadable += 1;
        else events.add(`${event.id} ${event.timeMicros}`);
      }
    }
  }
  return { ends: offsets.map(({ end }) => end), events, unreadable };
}

async function compare({ databaseUrl }: TestSystem, log: Log): Promise<void> {
  const oracle = oraclePool(databaseUrl);
  expect(await allDifferences(oracle)).toEqual([]);
  await oracle.end();
  const pool = createPool({ connectionString: databaseUrl, max: 1 });
  const { rows } = await pool.query<{ event_id: string; event_time: number }>(
    "select event_id, event_time from stream_events",
  );
  const letters = await pool.query("select from dead_letters");
  await pool.end();
  const kept = new Set(rows.map((row) => `${row.event_id} ${row.event_time}`));
  expect(kept.size).toBe(rows.length);
  expect(kept.symmetricDifference(log.events).size).toBe(0);
  expect(letters.rowCount).toBe(log.unreadable);
}
