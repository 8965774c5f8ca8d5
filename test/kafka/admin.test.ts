import { Admin as OtherAdmin } from "@platformatic/kafka";
import { expect, test } from "vitest";
import { uniqueTopic } from "../support/kafka.ts";
import { eventually, testClients } from "./clients.ts";

const { config, admin, producer, fetcher, newTopic } = await testClients();

test("a topic is made with its settings, and made again nothing happens", async () => {
  const topic = uniqueTopic();
  const shape = { partitions: 3, configs: { "message.timestamp.type": "LogAppendTime" } };
  await admin.ensureTopic(topic, shape);
  await producer.send([{ topic, partition: 0, value: "x" }]);
  await admin.ensureTopic(topic, shape);
  expect(await admin.partitions(topic)).toBe(3);
  const [found] = await fetcher.fetch([{ topic, partition: 0, offset: 0 }], {
    maxWaitMillis: 1_000,
    maxBytes: 1_000,
  });
  expect(found?.records[0]?.timestampType).toBe("LOG_APPEND_TIME");
});

test("a setting that differs is set", async () => {
  const topic = await newTopic(1, { "message.timestamp.type": "CreateTime" });
  const configs = { "message.timestamp.type": "LogAppendTime", "retention.ms": "86400000" };
  await admin.ensureTopic(topic, { partitions: 1, configs });
  // The broker takes a moment to apply it to the log.
  await eventually(async () => {
    const [position] = await producer.send([{ topic, value: "x" }]);
    const [found] = await fetcher.fetch([position ?? { topic, partition: 0, offset: 0 }], {
      maxWaitMillis: 1_000,
      maxBytes: 1_000,
    });
    return found?.records[0]?.timestampType;
  }).toBe("LOG_APPEND_TIME");
});

test("a topic with fewer partitions is refused, and grows only when asked", async () => {
  const topic = await newTopic(2);
  await expect(admin.ensureTopic(topic, { partitions: 3 })).rejects.toMatchObject({
    kind: "conflict",
    code: "kafka.topic_has_fewer_partitions",
    message: expect.stringContaining("2 partitions, 3 are wanted"),
  });
  await admin.ensureTopic(topic, { partitions: 3, grow: true });
  expect(await admin.partitions(topic)).toBe(3);
  await admin.ensureTopic(topic, { partitions: 1 });
  expect(await admin.partitions(topic)).toBe(3);
});

test("a setting that Kafka does not know is refused", async () => {
  const shape = { partitions: 1, configs: { "no.such.setting": "1" } };
  await expect(admin.ensureTopic(uniqueTopic(), shape)).rejects.toMatchObject({
    kind: "invalid",
    code: "kafka.record_refused",
  });
});

test("a deleted topic is gone, and gone it can be deleted", async () => {
  const topic = await newTopic();
  await admin.deleteTopic(topic);
  await expect(admin.partitions(topic)).rejects.toMatchObject({ code: "kafka.topic_unknown" });
  await admin.deleteTopic(topic);
});

test("offsets tell each log's begin and end, deletions counted", async () => {
  const [one, two] = [await newTopic(2), await newTopic(1)];
  await producer.send(Array.from({ length: 5 }, () => ({ topic: one, partition: 1, value: "x" })));
  const other = new OtherAdmin({ clientId: "test", bootstrapBrokers: [...config.brokers] });
  await other.deleteRecords({
    topics: [{ name: one, partitions: [{ partition: 1, offset: 3n }] }],
  });
  await other.close();
  expect(await admin.offsets([one, two])).toEqual([
    { topic: one, partition: 0, begin: 0, end: 0 },
    { topic: one, partition: 1, begin: 3, end: 5 },
    { topic: two, partition: 0, begin: 0, end: 0 },
  ]);
});
