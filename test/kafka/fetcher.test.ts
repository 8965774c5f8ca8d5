import { createFetcher } from "@headrace/kafka";
import {
  type CompressionAlgorithmValue,
  ConfigResourceTypes,
  IncrementalAlterConfigOperationTypes,
  Admin as OtherAdmin,
  Consumer as OtherConsumer,
} from "@platformatic/kafka";
import { afterAll, expect, test } from "vitest";
import { uniqueTopic } from "../support/kafka.ts";
import { eventually, testClients } from "./clients.ts";
import { inTransaction, otherProducer } from "./other-client.ts";

const { config, admin, producer, fetcher, newTopic, readAll } = await testClients();
const others = otherProducer(config);
const otherAdmin = new OtherAdmin({ clientId: "test", bootstrapBrokers: [...config.brokers] });
afterAll(() => Promise.all([others.close(), otherAdmin.close()]));

/** The cleaner rests 15 s between two looks unless its brokers are told otherwise. */
async function hurryCleaner() {
  const { brokers } = await otherAdmin.metadata({ topics: [] });
  const configs = [
    {
      name: "log.cleaner.backoff.ms",
      configOperation: IncrementalAlterConfigOperationTypes.SET,
      value: "100",
    },
  ];
  await otherAdmin.incrementalAlterConfigs({
    resources: [...brokers.keys()].map((id) => ({
      resourceType: ConfigResourceTypes.BROKER,
      resourceName: `${id}`,
      configs,
    })),
  });
}

const limits = { maxWaitMillis: 1_000, maxBytes: 4_000_000 };
const text = (some: Buffer | null | undefined) => some?.toString();

test("several partitions are read at once, each from its own position", async () => {
  const topic = await newTopic(3);
  const values = ["a", "b", "c", "d"];
  await producer.send(values.map((value) => ({ topic, partition: 0, value })));
  await producer.send(values.map((value) => ({ topic, partition: 2, value })));
  const found = await fetcher.fetch(
    [
      { topic, partition: 2, offset: 3 },
      { topic, partition: 0, offset: 1 },
      { topic, partition: 1, offset: 0 },
    ],
    limits,
  );
  expect(found.map((one) => one.records.map(({ value }) => text(value)))).toEqual([
    ["d"],
    ["b", "c", "d"],
    [],
  ]);
  expect(found.map(({ nextOffset, begin, end }) => [nextOffset, begin, end])).toEqual([
    [4, 0, 4],
    [4, 0, 4],
    [0, 0, 0],
  ]);
});

test("a tombstone is null, an empty value is empty, headers keep their bytes and their order", async () => {
  const topic = await newTopic();
  const raw = Buffer.from([0xc3, 0xff, 0x00, 0x80]);
  const headers = new Map([
    [Buffer.from("é"), raw],
    [Buffer.from("b"), Buffer.alloc(0)],
  ]);
  await others.send({
    messages: [
      { topic, partition: 0, key: Buffer.from("k"), value: Buffer.from(""), headers },
      { topic, partition: 0, key: Buffer.from(""), value: Buffer.from("v") },
    ],
  });
  await producer.send([{ topic, key: "k", value: null }]);
  const [first, second, third] = await readAll(topic);
  expect(first).toMatchObject({ key: Buffer.from("k"), value: Buffer.alloc(0) });
  expect(first?.headers).toEqual([
    { key: "é", value: raw },
    { key: "b", value: Buffer.alloc(0) },
  ]);
  expect(second).toMatchObject({ key: Buffer.alloc(0), value: Buffer.from("v"), headers: [] });
  expect(third?.value).toBe(null);
});

test("with LogAppendTime every record has its batch's time of appending", async () => {
  const topic = await newTopic(1, { "message.timestamp.type": "LogAppendTime" });
  const old = BigInt(Date.UTC(2001, 0, 1));
  const sentAt = Date.now();
  await others.send({
    messages: [0n, 5n, 9n].map((later) => ({
      topic,
      partition: 0,
      value: Buffer.from("x"),
      timestamp: old + later,
    })),
  });
  const records = await readAll(topic);
  expect(new Set(records.map(({ timestampType }) => timestampType))).toEqual(
    new Set(["LOG_APPEND_TIME"]),
  );
  expect(new Set(records.map(({ timestampMillis }) => timestampMillis)).size).toBe(1);
  expect(records[0]?.timestampMillis).toBeGreaterThanOrEqual(sentAt - 1);
});

test("with CreateTime each record has its own time, also one before the batch's first", async () => {
  const topic = await newTopic(1, { "message.timestamp.type": "CreateTime" });
  // Within 24 days: the other client writes larger distances wrongly (bytes.test.ts reads such).
  const times = [Date.UTC(2026, 0, 20), Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 20, 1)];
  await others.send({
    messages: times.map((time) => ({
      topic,
      partition: 0,
      value: Buffer.from("x"),
      timestamp: BigInt(time),
    })),
  });
  const records = await readAll(topic);
  expect(records.map(({ timestampMillis }) => timestampMillis)).toEqual(times);
  expect(records[0]?.timestampType).toBe("CREATE_TIME");
});

test.each<CompressionAlgorithmValue>(["gzip", "snappy", "lz4", "zstd"])(
  "batches compressed with %s are read",
  async (compression) => {
    const topic = await newTopic();
    const values = Array.from({ length: 50 }, (_, i) => `value ${i} `.repeat(20));
    await others.send({
      compression,
      messages: values.map((value) => ({ topic, partition: 0, value: Buffer.from(value) })),
    });
    expect((await readAll(topic)).map(({ value }) => text(value))).toEqual(values);
  },
);

test("a batch larger than what was asked for comes whole", async () => {
  const topic = await newTopic();
  const values = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(1_000));
  await producer.send(values.map((value) => ({ topic, value })));
  const [found] = await fetcher.fetch([{ topic, partition: 0, offset: 10 }], {
    maxWaitMillis: 1_000,
    maxBytes: 100,
  });
  expect(found?.records).toHaveLength(90);
  expect(found?.nextOffset).toBe(100);
});

test("what a transaction aborted is not seen, and its offsets are stepped over", async () => {
  const topic = await newTopic();
  await inTransaction({ others, admin }, topic, ["a", "b"], "commit");
  await inTransaction({ others, admin }, topic, ["never", "never"], "abort");
  await producer.send([{ topic, value: "c" }]);
  await inTransaction({ others, admin }, topic, ["never"], "abort");
  const records = await readAll(topic);
  expect(records.map(({ offset, value }) => [offset, text(value)])).toEqual([
    [0, "a"],
    [1, "b"],
    [6, "c"],
  ]);
  // Only the aborted record and its marker are left after 7: no record, yet the position moves.
  const [found] = await fetcher.fetch([{ topic, partition: 0, offset: 7 }], limits);
  expect(found).toMatchObject({ state: "fetched", records: [], nextOffset: 9, end: 9 });
});

test("an open transaction holds back what comes after it", async () => {
  const topic = await newTopic();
  const transaction = await others.beginTransaction({});
  await transaction.send({ messages: [{ topic, partition: 0, value: Buffer.from("t") }] });
  await producer.send([{ topic, value: "after" }]);
  const position = { topic, partition: 0, offset: 0 };
  const [before] = await fetcher.fetch([position], { ...limits, maxWaitMillis: 50 });
  expect(before).toMatchObject({ records: [], nextOffset: 0, end: 0 });
  await transaction.commit();
  await eventually(async () => {
    const [found] = await fetcher.fetch([position], limits);
    return found?.records.map(({ value }) => text(value));
  }).toEqual(["t", "after"]);
});

test("compaction leaves holes that are stepped over", { timeout: 60_000 }, async () => {
  await hurryCleaner();
  const topic = await newTopic(1, {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.001",
  });
  for (let i = 0; i < 4; i++) await producer.send([{ topic, key: "same", value: `${i}` }]);
  await producer.send([{ topic, key: "other", value: "kept" }]);
  await eventually(async () => {
    // A new segment begins with the next record after `segment.ms`.
    await producer.send([{ topic, key: "roll", value: "x" }]);
    return (await readAll(topic)).slice(0, 2).map(({ offset, value }) => [offset, text(value)]);
  }, 50_000).toEqual([
    [3, "3"],
    [4, "kept"],
  ]);
  const [found] = await fetcher.fetch([{ topic, partition: 0, offset: 0 }], limits);
  expect(found?.records[0]?.offset).toBe(3);
});

test("a position outside the log is told, with the log's range", async () => {
  const topic = await newTopic();
  await producer.send(Array.from({ length: 5 }, () => ({ topic, value: "x" })));
  await otherAdmin.deleteRecords({
    topics: [{ name: topic, partitions: [{ partition: 0, offset: 2n }] }],
  });
  const found = await fetcher.fetch([{ topic, partition: 0, offset: 1 }], limits);
  expect(found).toMatchObject([{ state: "out_of_range", begin: 2, end: 5, nextOffset: 1 }]);
  const past = await fetcher.fetch([{ topic, partition: 0, offset: 6 }], limits);
  expect(past).toMatchObject([{ state: "out_of_range", begin: 2, end: 5, nextOffset: 6 }]);
  const at = await fetcher.fetch([{ topic, partition: 0, offset: 5 }], {
    ...limits,
    maxWaitMillis: 10,
  });
  expect(at).toMatchObject([{ state: "fetched", records: [], nextOffset: 5 }]);
});

test("a topic made anew is told from the old one, even where the position fits", async () => {
  const topic = await newTopic();
  await producer.send([{ topic, value: "old" }]);
  const [old] = await fetcher.fetch([{ topic, partition: 0, offset: 0 }], limits);
  const position = { topic, partition: 0, offset: 1, topicId: old?.topicId ?? "" };
  await admin.deleteTopic(topic);
  await eventually(async () => (await fetcher.fetch([position], limits))[0]?.state).toBe(
    "topic_unknown",
  );
  await admin.ensureTopic(topic, { partitions: 1 });
  await producer.send([
    { topic, value: "new" },
    { topic, value: "newer" },
  ]);
  await eventually(async () => (await fetcher.fetch([position], limits))[0]).toMatchObject({
    state: "recreated",
    begin: 0,
    end: 2,
  });
});

test("an unknown topic or partition is told beside what is found", async () => {
  const topic = await newTopic();
  await producer.send([{ topic, value: "x" }]);
  const found = await fetcher.fetch(
    [
      { topic: uniqueTopic(), partition: 0, offset: 0 },
      { topic, partition: 0, offset: 0 },
      { topic, partition: 1, offset: 0 },
    ],
    limits,
  );
  expect(found.map(({ state, records }) => [state, records.length])).toEqual([
    ["topic_unknown", 0],
    ["fetched", 1],
    ["topic_unknown", 0],
  ]);
});

test("a group's offsets are kept without a member, with their metadata", async () => {
  const topic = await newTopic(3);
  const group = uniqueTopic("group");
  expect(await fetcher.committed(group, topic)).toEqual([]);
  await fetcher.commit(group, [
    { topic, partition: 0, offset: 7, metadata: "an id" },
    { topic, partition: 2, offset: 0 },
  ]);
  await fetcher.commit(group, [{ topic, partition: 2, offset: 5 }]);
  expect(await fetcher.committed(group, topic)).toEqual([
    { topic, partition: 0, offset: 7, metadata: "an id" },
    { topic, partition: 2, offset: 5 },
  ]);
});

test("a group that consumers have joined is not committed for", async () => {
  const topic = await newTopic();
  const groupId = uniqueTopic("group");
  const consumer = new OtherConsumer({
    clientId: "test",
    bootstrapBrokers: [...config.brokers],
    groupId,
  });
  const stream = await consumer.consume({ topics: [topic] });
  stream.on("error", () => undefined);
  try {
    await expect(
      fetcher.commit(groupId, [{ topic, partition: 0, offset: 1 }]),
    ).rejects.toMatchObject({ kind: "conflict", code: "kafka.group_in_use" });
  } finally {
    await consumer.close(true);
  }
});

test("a fetch that waits does not hold up commits, and closing ends it", async () => {
  const topic = await newTopic();
  await producer.send([{ topic, value: "x" }]);
  const one = createFetcher(config);
  // A first record shows that the broker is ready to serve this topic.
  await eventually(
    async () => (await one.fetch([{ topic, partition: 0, offset: 0 }], limits))[0]?.nextOffset,
  ).toBe(1);
  const waiting = one.fetch([{ topic, partition: 0, offset: 1 }], {
    maxWaitMillis: 5_000,
    maxBytes: 1_000,
  });
  const ended = waiting.catch((error: unknown) => error);
  const startedAt = performance.now();
  await one.commit(uniqueTopic("group"), [{ topic, partition: 0, offset: 0 }]);
  await one.close();
  expect(await ended).toMatchObject({ code: "kafka.closed" });
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});
