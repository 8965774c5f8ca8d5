import { type RangePart, readRange } from "@headrace/kafka";
import { Admin as OtherAdmin } from "@platformatic/kafka";
import { afterAll, expect, test } from "vitest";
import { testClients } from "./clients.ts";
import { inTransaction, otherProducer } from "./other-client.ts";

const { config, admin, producer, fetcher, newTopic } = await testClients();
const others = otherProducer(config);
const otherAdmin = new OtherAdmin({ clientId: "test", bootstrapBrokers: [...config.brokers] });
afterAll(() => Promise.all([others.close(), otherAdmin.close()]));

async function partsOf(topic: string, from: number, to: number, options = {}) {
  const parts: RangePart[] = [];
  for await (const part of readRange(config, topic, 0, from, to, options)) parts.push(part);
  return parts;
}

const brief = (parts: readonly RangePart[]) => parts.map(({ kind, from, to }) => [kind, from, to]);

test("a range is accounted for: what is there, empty, lost and not yet written", async () => {
  const topic = await newTopic();
  await producer.send(Array.from({ length: 4 }, (_, i) => ({ topic, value: `${i}` })));
  await inTransaction({ others, admin }, topic, ["never", "never"], "abort"); // 4, 5, its end 6
  await inTransaction({ others, admin }, topic, ["seen"], "commit"); // 7, its end 8
  await otherAdmin.deleteRecords({
    topics: [{ name: topic, partitions: [{ partition: 0, offset: 2n }] }],
  });
  const parts = await partsOf(topic, 1, 12);
  expect(brief(parts)).toEqual([
    ["lost", 1, 2],
    ["records", 2, 4],
    ["empty", 4, 7],
    ["records", 7, 8],
    ["empty", 8, 9],
    ["unwritten", 9, 12],
  ]);
  expect(parts.flatMap(({ records }) => records.map(({ value }) => `${value}`))).toEqual([
    "2",
    "3",
    "seen",
  ]);
});

test("a range inside the log ends where it was told to", async () => {
  const topic = await newTopic();
  await producer.send(Array.from({ length: 50 }, (_, i) => ({ topic, value: `${i}` })));
  const parts = await partsOf(topic, 10, 20);
  expect(brief(parts)).toEqual([["records", 10, 20]]);
  expect(parts[0]?.records.map(({ offset }) => offset)).toEqual([
    10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
  ]);
});

test("a range larger than one answer comes in parts that join", async () => {
  const topic = await newTopic();
  const value = "x".repeat(1_000);
  for (let i = 0; i < 10; i++)
    await producer.send(Array.from({ length: 50 }, () => ({ topic, value })));
  const parts = await partsOf(topic, 0, 500, { maxBytes: 60_000 });
  expect(parts.length).toBeGreaterThan(3);
  expect(parts.every(({ kind }) => kind === "records")).toBe(true);
  expect(parts.map(({ from }) => from)).toEqual([0, ...parts.slice(0, -1).map(({ to }) => to)]);
  expect(parts.at(-1)?.to).toBe(500);
});

test("all of a range is lost where the topic was made anew, or is no more", async () => {
  const topic = await newTopic();
  const old = await fetcher.topic(topic);
  await producer.send(Array.from({ length: 5 }, () => ({ topic, value: "old" })));
  await admin.deleteTopic(topic);
  expect(brief(await partsOf(topic, 0, 3))).toEqual([["lost", 0, 3]]);
  await admin.ensureTopic(topic, { partitions: 1 });
  await producer.send(Array.from({ length: 5 }, () => ({ topic, value: "new" })));
  expect(brief(await partsOf(topic, 0, 3, { topicId: old?.id }))).toEqual([["lost", 0, 3]]);
  expect(brief(await partsOf(topic, 0, 3))).toEqual([["records", 0, 3]]);
});

test("an empty range has no parts", async () => {
  const topic = await newTopic();
  expect(await partsOf(topic, 3, 3)).toEqual([]);
});
