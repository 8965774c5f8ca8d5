import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import {
  createAdmin,
  createFetcher,
  createProducer,
  type KafkaConfig,
  type KafkaRecord,
} from "@headrace/kafka";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { awsAnswers, clusterArn } from "./aws-answers.ts";
import { eventually, readPartition } from "./clients.ts";
import { ownBroker } from "./own-broker.ts";

/** A Java virtual machine starts anew, on two processors that others use too. */
const SLOW_MS = 90_000;

const aws = awsAnswers();
const broker = await ownBroker();
const { brokers } = broker;
const admin = createAdmin({ brokers });
const fetcher = createFetcher({ brokers }, { timeoutMs: 60_000 });
const hasty = createProducer({ brokers }, { sendTimeoutMs: 1_500 });
const patient = createProducer({ brokers }, { sendTimeoutMs: 60_000 });
afterAll(() => Promise.all([admin, fetcher, hasty, patient].map((client) => client.close())));

const valuesOf = (records: readonly KafkaRecord[]) => records.map(({ value }) => `${value}`);

test("a send to a broker that stopped answering fails in its time, the next ones succeed", {
  timeout: SLOW_MS,
}, async () => {
  const topic = "frozen";
  await admin.ensureTopic(topic, { partitions: 1 });
  const send = (value: string) => hasty.send([{ topic, value }]);
  await send("before");
  await broker.freeze();
  const startedAt = performance.now();
  const outcomes = await Promise.allSettled([send("a"), send("b")]);
  const tookMs = performance.now() - startedAt;
  broker.thaw();
  for (const outcome of outcomes)
    expect(outcome).toMatchObject({
      reason: {
        kind: "unavailable",
        code: "kafka.unavailable",
        message: expect.stringContaining(brokers[0] ?? "?"),
      },
    });
  expect(tookMs).toBeGreaterThan(1_400);
  expect(tookMs).toBeLessThan(4_000);
  await eventually(() => send("after").then(Boolean, () => false), SLOW_MS).toBe(true);
  const stored = valuesOf(await readPartition(fetcher, topic, 0));
  expect([stored[0], stored.at(-1)]).toEqual(["before", "after"]);
  // The two that failed may be stored or not, but once at most.
  for (const value of ["a", "b"])
    expect(stored.filter((one) => one === value).length).toBeLessThan(2);
});

test("records whose answer was lost are stored once, and their positions are told", {
  timeout: SLOW_MS,
}, async () => {
  const topic = "unanswered";
  await admin.ensureTopic(topic, { partitions: 1 });
  const sockets = new Set<Socket>();
  const remember = (message: unknown) => sockets.add((message as { socket: Socket }).socket);
  subscribe("net.client.socket", remember);
  onTestFinished(() => void unsubscribe("net.client.socket", remember));
  const producer = createProducer({ brokers }, { sendTimeoutMs: 60_000 });
  onTestFinished(() => producer.close());
  const send = (value: string) => producer.send([{ topic, value }]);
  await send("first");
  const written = () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0);
  const before = written();
  await broker.freeze();
  // The request lies in the stopped broker's socket; it will be read, and nobody will hear the answer.
  const unanswered = send("unanswered");
  await eventually(written).toBeGreaterThan(before);
  for (const socket of sockets) socket.destroy();
  broker.thaw();
  expect(await unanswered).toEqual([{ topic, partition: 0, offset: 1 }]);
  expect(await send("last")).toEqual([{ topic, partition: 0, offset: 2 }]);
  const stored = valuesOf(await readPartition(fetcher, topic, 0));
  expect(stored).toEqual(["first", "unanswered", "last"]);
});

test("records sent while the broker is killed are stored once each, in order, and a reader goes on", {
  timeout: SLOW_MS,
}, async () => {
  const topic = "killed";
  await admin.ensureTopic(topic, { partitions: 2 });
  const acknowledged: string[][] = [[], []];
  let sending = true;
  onTestFinished(() => {
    sending = false;
  });
  const senders = [0, 1].map(async (partition) => {
    for (let i = 0; sending; i++) {
      const records = Array.from({ length: 20 }, (_, k) => `${i * 20 + k}`);
      await patient.send(records.map((value) => ({ topic, partition, value })));
      acknowledged[partition]?.push(...records);
    }
  });
  const growth = async (least: number) => {
    const before = acknowledged.map((some) => some.length);
    const grew = () => acknowledged.every((some, i) => some.length >= (before[i] ?? 0) + least);
    await eventually(grew, SLOW_MS).toBe(true);
  };
  const read: string[] = [];
  const reader = (async () => {
    for (let offset = 0; sending; ) {
      const [found] = await fetcher.fetch([{ topic, partition: 0, offset }], {
        maxWaitMillis: 200,
        maxBytes: 1_000_000,
      });
      read.push(...valuesOf(found?.records ?? []));
      offset = found?.nextOffset ?? offset;
    }
  })();
  await growth(200);
  await broker.restart();
  await growth(200);
  await fetcher.commit("group", [{ topic, partition: 0, offset: 1 }]);
  const seen = read.length;
  await eventually(() => read.length > seen, SLOW_MS).toBe(true);
  sending = false;
  await Promise.all([...senders, reader]);
  for (const partition of [0, 1]) {
    const stored = valuesOf(await readPartition(fetcher, topic, partition));
    expect(stored).toEqual(acknowledged[partition]);
  }
  expect(read).toEqual(acknowledged[0]?.slice(0, read.length));
});

test("brokers that all moved are found again, and what is sent meanwhile is stored once", {
  timeout: SLOW_MS,
}, async () => {
  const tell = (addresses: readonly string[]) =>
    aws.answer("GET bootstrap-brokers", { body: { bootstrapBrokerString: addresses.join(",") } });
  const asks = () => aws.questions.length;
  tell(brokers);
  const config: KafkaConfig = { clusterArn: clusterArn() };
  await admin.ensureTopic("moving", { partitions: 1 });
  const producer = createProducer(config, { sendTimeoutMs: 50_000 });
  onTestFinished(() => producer.close());
  await producer.send([{ topic: "moving", value: "before" }]);
  const before = asks();
  const moving = broker.move();
  const meanwhile = producer.send([{ topic: "moving", value: "meanwhile" }]);
  const startedAt = performance.now();
  const moved = await moving;
  tell(moved);
  await meanwhile;
  await eventually(() => producer.send([{ topic: "moving", value: "after" }]).then(Boolean)).toBe(
    true,
  );
  const perFiveSeconds = (performance.now() - startedAt) / 5_000;
  expect(asks() - before).toBeGreaterThan(0);
  expect(asks() - before).toBeLessThanOrEqual(1 + Math.ceil(perFiveSeconds));
  const reader = createFetcher({ brokers: moved });
  onTestFinished(() => reader.close());
  const stored = (await readPartition(reader, "moving", 0)).map(({ value }) => `${value}`);
  expect(stored).toEqual(["before", "meanwhile", "after"]);
});
