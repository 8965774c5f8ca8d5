/** Connections that live longer than the credentials by which they were opened. */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createAdmin,
  createFetcher,
  createProducer,
  type KafkaConfig,
  type TokenSource,
} from "@headrace/kafka";
import { beforeAll, expect, test } from "vitest";
import { SESSION_MS, unsignedToken, WRITER } from "../support/secured-kafka.ts";
import { securedKafka } from "../support/servers.ts";
import { readPartition } from "./clients.ts";

const kafka = await securedKafka();
const TOKEN_LIFE_MS = 4_000;
/** Over two sessions, and over a token's life. */
const WHILE_MS = 2 * SESSION_MS + 1_000;

const tokens: TokenSource = async () => unsignedToken("writer", TOKEN_LIFE_MS);
const byToken: KafkaConfig = {
  brokers: [kafka.tokens],
  auth: { kind: "token", source: tokens },
};
const byPassword: KafkaConfig = {
  brokers: [kafka.passwords],
  auth: { kind: "scram", ...WRITER },
  tls: false,
};
const plain: KafkaConfig = { brokers: [kafka.plain] };

/** How many connections each test has opened so far; they run at the same time. */
const counted = new AsyncLocalStorage<{ connects: number }>();
const connects = (): number | undefined => counted.getStore()?.connects;
beforeAll(() => {
  const count = () => {
    const counter = counted.getStore();
    if (counter !== undefined) counter.connects++;
  };
  subscribe("net.client.socket", count);
  return () => void unsubscribe("net.client.socket", count);
});

async function newTopic(name: string, partitions: number): Promise<void> {
  const admin = createAdmin(plain);
  await admin.ensureTopic(name, { partitions });
  await admin.close();
}

async function storedIn(topic: string, partition: number): Promise<readonly string[]> {
  const fetcher = createFetcher(plain);
  const records = await readPartition(fetcher, topic, partition);
  await fetcher.close();
  return records.map(({ value }) => `${value}`);
}

/** Sends one after the other to one partition for a while; answers what was acknowledged. */
async function sendFor(
  producer: ReturnType<typeof createProducer>,
  topic: string,
  partition: number,
  whileMs: number,
): Promise<readonly string[]> {
  const acknowledged: string[] = [];
  const endAt = performance.now() + whileMs;
  for (let i = 0; performance.now() < endAt; i++) {
    const values = Array.from({ length: 10 }, (_, k) => `${i * 10 + k}`);
    await producer.send(values.map((value) => ({ topic, partition, value })));
    acknowledged.push(...values);
  }
  return acknowledged;
}

test.concurrent.for<[string, KafkaConfig]>([
  ["tokens", byToken],
  ["a password", byPassword],
])(
  "busy connections by %s outlive their sessions: no record is lost or doubled, none reopens",
  async ([way, config], { onTestFinished }) => {
    counted.enterWith({ connects: 0 });
    const topic = `busy-${way.replace(" ", "-")}`;
    await newTopic(topic, 3);
    const producer = createProducer(config);
    const admin = createAdmin(config);
    const fetcher = createFetcher(config);
    onTestFinished(async () => {
      await Promise.all([producer, admin, fetcher].map((client) => client.close()));
    });
    await producer.send([{ topic, partition: 2, value: "first" }]);
    await Promise.all([admin.offsets([topic]), fetcher.offsets([topic])]);
    await fetcher.fetch([{ topic, partition: 2, offset: 0 }], { maxWaitMillis: 0, maxBytes: 1 });
    const before = connects();
    expect(before).toBeGreaterThan(2);
    let busy = true;
    let answers = 0;
    // Questions upon questions on one connection: there is always one under way when a session ends.
    const asking = Array.from({ length: 8 }, async () => {
      for (; busy; answers++) await admin.offsets([topic]);
    });
    const reading = (async () => {
      for (; busy; answers++)
        await fetcher.fetch([{ topic, partition: 2, offset: 1 }], {
          maxWaitMillis: 300,
          maxBytes: 1_000,
        });
    })();
    const acknowledged = await Promise.all(
      [0, 1].map((partition) => sendFor(producer, topic, partition, WHILE_MS)),
    );
    busy = false;
    await Promise.all([...asking, reading]);
    expect(answers).toBeGreaterThan(100);
    expect(connects()).toBe(before);
    for (const partition of [0, 1]) {
      expect(acknowledged[partition]?.length).toBeGreaterThan(100);
      expect(await storedIn(topic, partition)).toEqual(acknowledged[partition]);
    }
  },
);

test.concurrent("an idle connection is signed in anew and is there when it is needed", async ({
  onTestFinished,
}) => {
  counted.enterWith({ connects: 0 });
  await newTopic("idle", 1);
  const producer = createProducer(byToken);
  onTestFinished(() => producer.close());
  await producer.send([{ topic: "idle", value: "before" }]);
  const before = connects();
  expect(before).toBeGreaterThan(1);
  await sleep(WHILE_MS);
  await producer.send([{ topic: "idle", value: "after" }]);
  expect(connects()).toBe(before);
  expect(await storedIn("idle", 0)).toEqual(["before", "after"]);
});

test.concurrent("a source of tokens that fails for a while delays records, and none is lost or doubled", async ({
  onTestFinished,
}) => {
  await newTopic("failing", 1);
  let fails = false;
  let refusals = 0;
  const source: TokenSource = async () => {
    if (!fails) return unsignedToken("writer", TOKEN_LIFE_MS);
    refusals++;
    throw new Error("the issuer is away");
  };
  const producer = createProducer(
    { brokers: [kafka.tokens], auth: { kind: "token", source } },
    { sendTimeoutMs: 30_000 },
  );
  onTestFinished(() => producer.close());
  await producer.send([{ topic: "failing", value: "first" }]);
  const sending = sendFor(producer, "failing", 0, TOKEN_LIFE_MS + 3_000);
  fails = true;
  // Longer than any session and the token at hand live.
  await sleep(TOKEN_LIFE_MS + 1_500);
  fails = false;
  const acknowledged = await sending;
  expect(refusals).toBeGreaterThan(1);
  expect(refusals).toBeLessThan(10);
  expect(await storedIn("failing", 0)).toEqual(["first", ...acknowledged]);
});

test.concurrent("a source of tokens that stays away fails a send in its time, by its reason", async ({
  onTestFinished,
}) => {
  await newTopic("away", 1);
  const source: TokenSource = () => Promise.reject(new Error("the issuer is away"));
  const producer = createProducer(
    { brokers: [kafka.tokens], auth: { kind: "token", source } },
    { sendTimeoutMs: 1_500 },
  );
  onTestFinished(() => producer.close());
  const startedAt = performance.now();
  await expect(producer.send([{ topic: "away", value: "x" }])).rejects.toMatchObject({
    kind: "unavailable",
    code: "kafka.unauthenticated",
    message: expect.stringContaining("the issuer is away"),
  });
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});

test.concurrent("a source of tokens that hangs is asked again", async ({ onTestFinished }) => {
  await newTopic("hanging", 1);
  let asked = 0;
  const source: TokenSource = () => {
    asked++;
    return asked === 1 ? new Promise(() => undefined) : tokens();
  };
  const producer = createProducer(
    { brokers: [kafka.tokens], auth: { kind: "token", source } },
    { sendTimeoutMs: 30_000 },
  );
  onTestFinished(() => producer.close());
  await producer.send([{ topic: "hanging", value: "x" }]);
  expect(asked).toBe(2);
});
