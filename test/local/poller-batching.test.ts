import { setImmediate as turn } from "node:timers/promises";
import type { KafkaTriggerEvent } from "@headrace/local";
import { expect, test } from "vitest";
import { eventually } from "../kafka/clients.ts";
import { pollerHarness, recordsOf } from "./poller-harness.ts";

const { producer, newTopic, send, start, committed } = await pollerHarness();
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${from + i}`);

test("records come once each, in order per partition, in batches of at most the batch size", async () => {
  const topic = await newTopic(3);
  for (const partition of [0, 1, 2]) await send(topic, numbers(0, 1_000), partition);
  const { batches, events } = start({ topic, batchSize: 70, concurrency: 2 });
  await eventually(() => batches().flat().length).toBe(3_000);
  expect(Math.max(...batches().map((batch) => batch.length))).toBe(70);
  for (const partition of [0, 1, 2])
    expect(
      events
        .flatMap((event) => event.records[`${topic}-${partition}`] ?? [])
        .map((one) => one.offset),
    ).toEqual(numbers(0, 1_000).map(Number));
});

test("one event gathers several partitions", async () => {
  const topic = await newTopic(3);
  for (const partition of [0, 1, 2]) await send(topic, ["a", "b"], partition);
  const { events } = start({ topic, batchSize: 6, batchingWindowSeconds: 30 });
  await eventually(() => events.map((event) => Object.keys(event.records).sort())).toEqual([
    [`${topic}-0`, `${topic}-1`, `${topic}-2`],
  ]);
});

test("a batch that is not full waits for its window, from its first record on", async () => {
  const topic = await newTopic();
  const arrivedAt: number[] = [];
  const { batches } = start({
    topic,
    batchingWindowSeconds: 1,
    answer: () => void arrivedAt.push(performance.now()),
  });
  const sentAt = performance.now();
  for (const value of ["a", "b", "c"]) await send(topic, [value]);
  await eventually(() => batches()).toEqual([["a", "b", "c"]]);
  const waited = (arrivedAt[0] ?? 0) - sentAt;
  expect(waited).toBeGreaterThan(950);
  expect(waited).toBeLessThan(4_000);
});

test("a window of 0 sends at once", async () => {
  const topic = await newTopic();
  const { batches } = start({ topic, batchSize: 10_000 });
  await send(topic, ["first"]);
  await eventually(() => batches()).toEqual([["first"]]);
  const sentAt = performance.now();
  await send(topic, ["second"]);
  await eventually(() => batches().length).toBe(2);
  expect(performance.now() - sentAt).toBeLessThan(400);
});

test("up to the concurrency invocations run at once, never two with the same partition", async () => {
  const topic = await newTopic(4);
  const running = new Set<string>();
  let most = 0;
  let clashes = 0;
  const answer = async (event: KafkaTriggerEvent) => {
    const keys = Object.keys(event.records);
    clashes += keys.filter((key) => running.has(key)).length;
    for (const key of keys) running.add(key);
    invocations++;
    most = Math.max(most, invocations);
    await turn();
    invocations--;
    for (const key of keys) running.delete(key);
  };
  let invocations = 0;
  for (const partition of [0, 1, 2, 3]) await send(topic, numbers(0, 300), partition);
  const { values } = start({ topic, batchSize: 20, concurrency: 3, answer });
  await eventually(() => values().length).toBe(1_200);
  expect(clashes).toBe(0);
  expect(most).toBe(3);
});

test("an event stays under 6 MB", async () => {
  const topic = await newTopic();
  const value = "x".repeat(1_000_000);
  for (let i = 0; i < 10; i++) await send(topic, [value]);
  const { events } = start({ topic, batchSize: 10_000, batchingWindowSeconds: 2 });
  await eventually(() => events.flatMap(recordsOf).length).toBe(10);
  const sizes = events.map((event) => JSON.stringify(event).length);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(6 * 1024 * 1024);
  // Base64 makes 1.33 MB of each: four fit, a fifth does not.
  expect(events.map((event) => recordsOf(event).length)).toEqual([4, 4, 2]);
});

test("offsets are committed per batch and a next poller goes on from them", async () => {
  const topic = await newTopic(2);
  await send(topic, numbers(0, 10), 0);
  await send(topic, ["x"], 1);
  const first = start({ topic });
  await eventually(() => first.values().length).toBe(11);
  await eventually(() => committed(first.group, topic)).toEqual(
    new Map([
      [0, 10],
      [1, 1],
    ]),
  );
  await first.poller.stop();
  await send(topic, ["later"], 0);
  const second = start({ topic, group: first.group });
  await eventually(() => second.values()).toEqual(["later"]);
});

test("stopping starts nothing new, waits for what runs, and commits it", async () => {
  const topic = await newTopic();
  await send(topic, numbers(0, 30));
  const release = Promise.withResolvers<void>();
  const { poller, events, group } = start({ topic, batchSize: 10, answer: () => release.promise });
  await eventually(() => events).toHaveLength(1);
  const stopped = poller.stop();
  release.resolve();
  await stopped;
  expect(events).toHaveLength(1);
  expect(await committed(group, topic)).toEqual(new Map([[0, 10]]));
});

test("stopping waits for a bound only, and commits what was done before", async () => {
  const topic = await newTopic();
  await send(topic, numbers(0, 20));
  const never = new Promise<never>(() => undefined);
  const { poller, events, group } = start({
    topic,
    batchSize: 10,
    answer: (_event, call) => (call === 1 ? undefined : never),
    options: { stopTimeoutMillis: 100 },
  });
  await eventually(() => events).toHaveLength(2);
  await poller.stop();
  expect(await committed(group, topic)).toEqual(new Map([[0, 10]]));
});

test("a poller knows when nothing is left to do", async () => {
  const topic = await newTopic();
  const release = Promise.withResolvers<void>();
  await producer.send([{ topic, value: "x" }]);
  const { poller, events } = start({ topic, answer: () => release.promise });
  await eventually(() => events).toHaveLength(1);
  expect(poller.isIdle()).toBe(false);
  release.resolve();
  await eventually(() => poller.isIdle()).toBe(true);
});
