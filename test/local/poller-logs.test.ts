import { Admin as OtherAdmin, Producer as OtherProducer } from "@platformatic/kafka";
import { afterAll, expect, test } from "vitest";
import { eventually } from "../kafka/clients.ts";
import { inTransaction } from "../kafka/other-client.ts";
import { uniqueTopic } from "../support/kafka.ts";
import { pollerHarness } from "./poller-harness.ts";

const { config, admin, fetcher, newTopic, send, committed, start } = await pollerHarness();
const bootstrapBrokers = [...config.brokers];
const others = new OtherProducer({ clientId: "test", bootstrapBrokers, idempotent: true });
const otherAdmin = new OtherAdmin({ clientId: "test", bootstrapBrokers });
afterAll(() => Promise.all([others.close(), otherAdmin.close()]));

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${from + i}`);
const messages = (log: readonly Record<string, unknown>[]) => log.map(({ message }) => message);

async function deleteBefore(topic: string, offset: number) {
  await otherAdmin.deleteRecords({
    topics: [{ name: topic, partitions: [{ partition: 0, offset: BigInt(offset) }] }],
  });
}

test("a new group begins where the log begins", async () => {
  const topic = await newTopic();
  await send(topic, ["a", "b", "c"]);
  await deleteBefore(topic, 1);
  const { values } = start({ topic });
  await eventually(() => values()).toEqual(["b", "c"]);
});

test("a topic made anew while it is polled is read from its beginning, and the log says so", async () => {
  const topic = await newTopic();
  await send(topic, ["old 0", "old 1"]);
  const { values, group, log } = start({ topic });
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 2]]));
  await admin.deleteTopic(topic);
  await admin.ensureTopic(topic, { partitions: 1 });
  // More than the old one held, so that its position would fit.
  await send(topic, ["new 0", "new 1", "new 2"]);
  await eventually(() => values().slice(2)).toEqual(["new 0", "new 1", "new 2"]);
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 3]]));
  expect(messages(log)).toContain(
    "the topic was made anew: its partition is read from the beginning",
  );
});

test("a topic made anew between two runs is read from its beginning, though the offset fits", async () => {
  const topic = await newTopic();
  await send(topic, ["old 0", "old 1"]);
  const first = start({ topic });
  await eventually(() => committed(first.group, topic)).toEqual(new Map([[0, 2]]));
  await first.poller.stop();
  await admin.deleteTopic(topic);
  await admin.ensureTopic(topic, { partitions: 1 });
  await send(topic, numbers(0, 5));
  // As a broker that lost track of the deletion would still have it.
  const second = start({ topic, group: first.group });
  await eventually(() => second.values()).toEqual(numbers(0, 5));
});

test("an offset of another topic's id is not gone on from", async () => {
  const topic = await newTopic();
  const group = uniqueTopic("group");
  await send(topic, numbers(0, 5));
  const metadata = "00000000-0000-0000-0000-000000000001";
  await fetcher.commit(group, [{ topic, partition: 0, offset: 3, metadata }]);
  const { values, log } = start({ topic, group });
  await eventually(() => values()).toEqual(numbers(0, 5));
  expect(messages(log)).toContain("the topic was made anew since the last run");
});

test("an offset that some tool set is gone on from", async () => {
  const topic = await newTopic();
  const group = uniqueTopic("group");
  await send(topic, numbers(0, 5));
  await fetcher.commit(group, [{ topic, partition: 0, offset: 3 }]);
  const { values } = start({ topic, group });
  await eventually(() => values()).toEqual(["3", "4"]);
});

test("a position that the log no longer holds restarts at its beginning, and the log says so", async () => {
  const topic = await newTopic();
  const group = uniqueTopic("group");
  await send(topic, numbers(0, 6));
  await deleteBefore(topic, 4);
  await fetcher.commit(group, [{ topic, partition: 0, offset: 2 }]);
  const { values, log } = start({ topic, group });
  await eventually(() => values()).toEqual(["4", "5"]);
  expect(log).toContainEqual(
    expect.objectContaining({
      level: "warn",
      message: "the log no longer holds the next record: reading from its beginning",
      offset: 2,
      begin: 4,
    }),
  );
});

test("what an invocation held of a topic that was made anew is neither retried nor committed", async () => {
  const topic = await newTopic();
  await send(topic, numbers(0, 8));
  const fail = Promise.withResolvers<void>();
  const { values, group, events } = start({
    topic,
    batchSize: 8,
    batchingWindowSeconds: 1,
    answer: (_event, call) => (call === 1 ? fail.promise : undefined),
  });
  await eventually(() => events).toHaveLength(1);
  await admin.deleteTopic(topic);
  await admin.ensureTopic(topic, { partitions: 1 });
  await send(topic, ["new"]);
  // Fetched, but not sent: the partition's old records are still held.
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 0]]));
  expect(events).toHaveLength(1);
  fail.reject(new Error("too late"));
  await eventually(() => values().slice(8)).toEqual(["new"]);
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 1]]));
});

test("partitions that a topic gains are read from their beginning", async () => {
  const topic = await newTopic(1);
  await send(topic, ["a"]);
  const { values } = start({ topic });
  await eventually(() => values()).toEqual(["a"]);
  await admin.ensureTopic(topic, { partitions: 3, grow: true });
  await send(topic, ["b"], 2);
  await eventually(() => values()).toEqual(["a", "b"]);
});

test("a topic made anew with fewer partitions is read on", async () => {
  const topic = await newTopic(3);
  await send(topic, ["a"], 2);
  const { values } = start({ topic });
  await eventually(() => values()).toEqual(["a"]);
  await admin.deleteTopic(topic);
  await admin.ensureTopic(topic, { partitions: 1 });
  await send(topic, ["b", "c"]);
  await eventually(() => values()).toEqual(["a", "b", "c"]);
});

test("a topic that comes later is waited for", async () => {
  const topic = uniqueTopic();
  const { values, log } = start({ topic });
  await eventually(() => messages(log)).toContain("records cannot be fetched");
  await admin.ensureTopic(topic, { partitions: 1 });
  await send(topic, ["a"]);
  await eventually(() => values()).toEqual(["a"]);
  expect(messages(log)).toContain("records are fetched again");
});

test("the ends of transactions and aborted records are stepped over and committed past", async () => {
  const topic = await newTopic();
  await inTransaction({ others, admin }, topic, ["a"], "commit");
  await inTransaction({ others, admin }, topic, ["never"], "abort");
  const { values, group } = start({ topic });
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 4]]));
  expect(values()).toEqual(["a"]);
});
