import { createProducer, type OutgoingRecord, partitionOf } from "@headrace/kafka";
import fc from "fast-check";
import { expect, test } from "vitest";
import { uniqueTopic } from "../support/kafka.ts";
import { testClients } from "./clients.ts";

const { config, admin, producer, fetcher, newTopic, readAll } = await testClients();

test("positions come back in the order of the records, each where its record is", async () => {
  const topic = await newTopic(3);
  const records = Array.from({ length: 200 }, (_, i) => ({
    topic,
    key: `user-${i % 17}`,
    value: `${i}`,
  }));
  const positions = await producer.send(records);
  expect(positions).toHaveLength(200);
  const stored = new Map<string, string>();
  for (const partition of [0, 1, 2])
    for (const record of await readAll(topic, partition))
      stored.set(`${record.partition}@${record.offset}`, `${record.value}`);
  expect(positions.map(({ partition, offset }) => stored.get(`${partition}@${offset}`))).toEqual(
    records.map(({ value }) => value),
  );
});

test("a key lies in the partition where Java's producer puts it", async () => {
  const topic = await newTopic(5);
  const keys = ["21", "foobar", "abc", "", "ключ"];
  const positions = await producer.send(keys.map((key) => ({ topic, key, value: "x" })));
  expect(positions.map(({ partition }) => partition)).toEqual(
    keys.map((key) => partitionOf(Buffer.from(key), 5)),
  );
});

test("records without a key take turns, a named partition is kept", async () => {
  const topic = await newTopic(2);
  const used = new Set<number>();
  for (let i = 0; i < 2; i++)
    used.add((await producer.send([{ topic, value: "x" }]))[0]?.partition ?? -1);
  expect(used).toEqual(new Set([0, 1]));
  const [named] = await producer.send([{ topic, key: "abc", partition: 1, value: "x" }]);
  expect(named?.partition).toBe(1);
});

test("what is read is what was sent, byte for byte", async () => {
  const topic = await newTopic();
  const bytes = fc.oneof(
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }).map((some) => Buffer.from(some)),
  );
  const record = fc.record({
    topic: fc.constant(topic),
    partition: fc.constant(0),
    key: bytes,
    value: bytes,
    headers: fc.dictionary(fc.string({ maxLength: 9 }), fc.string({ maxLength: 9 })),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 70 }), async (records) => {
      const [first] = await producer.send(records);
      const [found] = await fetcher.fetch([{ topic, partition: 0, offset: first?.offset ?? -1 }], {
        maxWaitMillis: 1_000,
        maxBytes: 1_000_000,
      });
      const plain = (text: string) => Buffer.from(text).toString();
      expect(
        found?.records.map(({ key, value, headers }) => ({
          key,
          value,
          headers: headers.map((one) => [one.key, one.value.toString()]),
        })),
      ).toEqual(
        records.map(({ key, value, headers }) => ({
          key,
          value,
          headers: Object.entries(headers).map(([name, text]) => [plain(name), plain(text)]),
        })),
      );
    }),
    { numRuns: 40 },
  );
});

test("many calls at once lose nothing and keep their order per partition", async () => {
  const topic = await newTopic(2);
  const calls = Array.from({ length: 150 }, (_, call) =>
    producer.send(
      Array.from({ length: 100 }, (_, i) => ({
        topic,
        partition: i % 2,
        value: `${call * 100 + i}`,
      })),
    ),
  );
  await Promise.all(calls);
  for (const partition of [0, 1]) {
    const values = (await readAll(topic, partition)).map(({ value }) => Number(value));
    expect(values).toEqual(Array.from({ length: 7_500 }, (_, i) => i * 2 + partition));
  }
});

test("a topic that takes only small batches gets small batches", async () => {
  const topic = await newTopic(1, { "max.message.bytes": "20000" });
  const records = Array.from({ length: 300 }, (_, i) => ({
    topic,
    value: `${i}`.padEnd(1_000, "."),
  }));
  const positions = await producer.send(records);
  expect(positions.map(({ offset }) => offset)).toEqual(records.map((_, i) => i));
});

test("a record over the topic's limit is refused and its neighbours are stored", async () => {
  const topic = await newTopic(1, { "max.message.bytes": "20000" });
  const large = producer.send([{ topic, value: "x".repeat(30_000) }]);
  const small = Array.from({ length: 20 }, (_, i) => producer.send([{ topic, value: `${i}` }]));
  await expect(large).rejects.toMatchObject({ kind: "invalid", code: "kafka.record_too_large" });
  await Promise.all(small);
  expect((await readAll(topic)).map(({ value }) => `${value}`)).toEqual(
    small.map((_, i) => `${i}`),
  );
});

test("a record that the broker finds wrong is refused and its neighbours are stored", async () => {
  // A compacted topic takes no record without a key.
  const topic = await newTopic(1, { "cleanup.policy": "compact" });
  const send = (record: Partial<OutgoingRecord>) =>
    producer.send([{ topic, value: "x", ...record }]);
  const calls = [send({ key: "a" }), send({ key: "b" }), send({}), send({ key: "c" })];
  const outcomes = await Promise.allSettled(calls);
  expect(outcomes.map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
  expect(outcomes[2]).toMatchObject({ reason: { code: "kafka.record_refused" } });
  expect((await readAll(topic)).map(({ key }) => `${key}`)).toEqual(["a", "b", "c"]);
});

test("a topic that does not exist is named soon, and no other call waits for it", async () => {
  const topic = uniqueTopic();
  const there = await newTopic();
  const [missing, other] = await Promise.allSettled([
    producer.send([{ topic, value: "x" }]),
    producer.send([{ topic: there, value: "x" }]),
  ]);
  expect(missing).toMatchObject({
    reason: { code: "kafka.topic_unknown", message: expect.stringContaining(topic) },
  });
  expect(other.status).toBe("fulfilled");
});

test("a partition that the topic lacks is refused before anything is sent", async () => {
  const topic = await newTopic(2);
  const records = [
    { topic, partition: 0, value: "x" },
    { topic, partition: 2, value: "x" },
  ];
  await expect(producer.send(records)).rejects.toMatchObject({ code: "kafka.partition_unknown" });
  expect(await readAll(topic, 0)).toEqual([]);
});

test("a topic that was deleted and made again is written to", async () => {
  const topic = await newTopic();
  await producer.send([{ topic, value: "old" }]);
  await admin.deleteTopic(topic);
  await admin.ensureTopic(topic, { partitions: 1 });
  expect(await producer.send([{ topic, value: "new" }])).toEqual([
    { topic, partition: 0, offset: 0 },
  ]);
});

test("closing waits for what is being sent; a closed producer refuses", async () => {
  const topic = await newTopic();
  const one = createProducer(config);
  const sent = one.send([{ topic, value: "x" }]);
  await one.close();
  await expect(sent).resolves.toHaveLength(1);
  await expect(one.send([{ topic, value: "y" }])).rejects.toMatchObject({ code: "kafka.closed" });
});

test("nothing to send is nothing sent", async () => {
  expect(await producer.send([])).toEqual([]);
});
