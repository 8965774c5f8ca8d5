/** `startRuntime` as benches and end-to-end tests use it: in their own process, more than once. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Runtime, type RuntimeOptions, startRuntime } from "@headrace/local";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { testDatabase } from "../support/database.ts";
import { kafkaBrokers, uniqueTopic } from "../support/kafka.ts";
import { eventually } from "./runtime-process.ts";

const [db, brokers] = await Promise.all([testDatabase(), kafkaBrokers()]);
const topic = uniqueTopic();
const homes: string[] = [];
const started: Runtime[] = [];
beforeAll(() => vi.stubEnv("EVENTS_TOPIC", topic));
afterEach(() => Promise.all(started.map((runtime) => runtime.stop())));
afterAll(async () => {
  vi.unstubAllEnvs();
  for (const home of homes) await rm(home, { recursive: true });
});

async function start(options: Partial<RuntimeOptions> = {}): Promise<Runtime> {
  const home = await mkdtemp(join(tmpdir(), "headrace-runtime-"));
  homes.push(home);
  const servers = { databaseUrl: db.ownerUrl, kafkaBrokers: brokers };
  const runtime = await startRuntime({ home, ...servers, ...options });
  started.push(runtime);
  return runtime;
}

async function ask(runtime: Runtime, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${runtime.url}${path}`, {
    headers: { authorization: `Bearer ${runtime.token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  const text = await response.text();
  expect(response.status, text).toBeLessThan(300);
  return JSON.parse(text);
}

async function sendOne(runtime: Runtime): Promise<void> {
  const event = {
    event_time: new Date().toISOString(),
    event_type: "login",
    user_id: randomUUID(),
  };
  await ask(runtime, "/v1/events", event);
}

async function untilEvents(runtime: Runtime, count: number): Promise<void> {
  await eventually(`${count} events`, async () => {
    const { current } = (await ask(runtime, "/v1/reports/kpi?window=1h")) as {
      current: { events: number };
    };
    return current.events === count ? true : undefined;
  });
}

test("it can be stopped and started again, with another HOME and so another key", async () => {
  const before = { ...process.env };
  const first = await start();
  await sendOne(first);
  await untilEvents(first, 1);
  await first.stop();
  expect(await first.ended).toBeUndefined();
  expect({ ...process.env }).toEqual(before);
  const second = await start();
  await sendOne(second);
  await untilEvents(second, 2);
});

test("a body past what the server reads is refused with the limit of its route", async () => {
  const { url, token } = await start();
  const response = await fetch(`${url}/v1/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: new Uint8Array(11 * 1024 * 1024),
  });
  expect(await response.json()).toMatchObject({
    status: 413,
    detail: "the body is larger than 1048576 bytes",
  });
});

test("a second one in the same process is refused", async () => {
  await start();
  await expect(start()).rejects.toMatchObject({ code: "runtime.running" });
});

test("a start that is given up leaves nothing behind", async () => {
  const giveUp = new AbortController();
  const starting = start({ signal: giveUp.signal, notice: () => giveUp.abort() });
  giveUp.abort();
  await expect(starting).rejects.toMatchObject({ name: "AbortError" });
  await start();
});

test("a topic that exists is grown to the partitions asked for, and never shrunk", async () => {
  const partitions = async (runtime: Runtime): Promise<number> => {
    const found = await eventually("the partitions' ends", async () => {
      const { rows } = await db.pool.query<{ count: number }>(
        "select count(*) as count from stream_ends where topic = $1",
        [topic],
      );
      return rows[0]?.count || undefined;
    });
    await runtime.stop();
    return found;
  };
  await db.pool.query("truncate stream_ends");
  expect(await partitions(await start({ partitions: 6 }))).toBe(6);
  await db.pool.query("truncate stream_ends");
  expect(await partitions(await start({ partitions: 2 }))).toBe(6);
});
