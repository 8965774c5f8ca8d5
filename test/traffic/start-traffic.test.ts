import { createAdmin, createProducer } from "@headrace/kafka";
import { jsonLogger } from "@headrace/kernel";
import { startTraffic } from "@headrace/traffic";
import { afterAll, describe, expect, test } from "vitest";
import { eventually, testClients } from "../kafka/clients.ts";
import { ownBroker } from "../kafka/own-broker.ts";

const clock = { now: () => Date.now() };

describe("with a broker that works", async () => {
  const { admin, producer, newTopic, readAll } = await testClients();
  const countOf = async (topic: string) =>
    (await admin.offsets([topic])).reduce((sum, { end }) => sum + end, 0);

  test("produces the rate it was told, and counts what Kafka has", async () => {
    const topic = await newTopic(4);
    const startedAt = performance.now();
    const traffic = startTraffic({ producer, topic, eventsPerSecond: 500, clock, seed: 1 });
    await eventually(() => traffic.totals().sent).toBeGreaterThan(1_000);
    const { sent, failed } = await traffic.stop();
    const seconds = (performance.now() - startedAt) / 1000;
    // Never more than the rate; less where the machine could not follow.
    expect(sent).toBeLessThanOrEqual(seconds * 500 + 1);
    expect(failed).toBe(0);
    expect(await countOf(topic)).toBe(sent);
  });

  test("a rate below one a second sends its first event at once", async () => {
    const topic = await newTopic();
    const traffic = startTraffic({ producer, topic, eventsPerSecond: 0.01, clock });
    await eventually(() => traffic.totals().sent).toBe(1);
    expect((await traffic.stop()).sent).toBe(1);
  });

  test("records have the customer's key and the clock's time, and a seed repeats them", async () => {
    const now = Date.UTC(2026, 0, 31, 10, 15);
    const values = async () => {
      const topic = await newTopic();
      const options = { producer, topic, eventsPerSecond: 1_000, clock: { now: () => now } };
      const traffic = startTraffic({ ...options, seed: 42 });
      await eventually(() => traffic.totals().sent).toBeGreaterThan(50);
      await traffic.stop();
      return (await readAll(topic)).slice(0, 50);
    };
    const records = await values();
    const [first] = records;
    const event = JSON.parse(String(first?.value));
    expect(event.event_time).toBe("2026-01-31T10:15:00.000Z");
    expect(event.user_id).toBe(String(first?.key));
    expect((await values()).map(({ value }) => String(value))).toEqual(
      records.map(({ value }) => String(value)),
    );
  });

  test("an outage is told once, however many of its batches fail, and once that it is over", async () => {
    const down = { is: true };
    let failed = 0;
    const send = async () => {
      if (!down.is) return;
      failed += 1;
      throw new Error("down");
    };
    const messages: string[] = [];
    const log = jsonLogger({ clock, write: (line) => messages.push(JSON.parse(line).message) });
    const options = { producer: { send } as never, topic: "none", eventsPerSecond: 1_000, clock };
    const traffic = startTraffic({ ...options, log });
    await eventually(() => failed).toBeGreaterThan(3);
    down.is = false;
    await eventually(() => traffic.totals().sent).toBeGreaterThan(300);
    await traffic.stop();
    expect(messages).toEqual([
      expect.stringContaining("does not take"),
      expect.stringContaining("again"),
    ]);
  });

  test("a rate that is none is refused", () => {
    const start = (eventsPerSecond: number) =>
      startTraffic({ producer, topic: "none", eventsPerSecond, clock });
    expect(() => start(0)).toThrow(/above 0, not 0/);
    expect(() => start(Number.NaN)).toThrow(/above 0, not NaN/);
  });
});

describe("with a broker that is killed", async () => {
  const broker = await ownBroker();
  const { brokers } = broker;
  const admin = createAdmin({ brokers });
  const producer = createProducer({ brokers }, { sendTimeoutMs: 300 });
  afterAll(() => Promise.all([admin.close(), producer.close()]));

  test("traffic goes on, and tells that it is out before it tells that it is back", async () => {
    await admin.ensureTopic("events", { partitions: 2 });
    const lines: string[] = [];
    const log = jsonLogger({ clock, write: (line) => lines.push(line) });
    const options = { producer, topic: "events", eventsPerSecond: 100, clock, log };
    const traffic = startTraffic(options);
    await eventually(() => traffic.totals().sent).toBeGreaterThan(10);

    await broker.restart();
    const { sent } = traffic.totals();
    await eventually(() => traffic.totals().sent).toBeGreaterThan(sent + 50);
    const totals = await traffic.stop();
    const stored = (await admin.offsets(["events"])).reduce((sum, { end }) => sum + end, 0);
    // Records of calls that failed may be stored as well.
    expect(stored).toBeGreaterThanOrEqual(totals.sent);
    expect(stored).toBeLessThanOrEqual(totals.sent + totals.failed);
    expect(totals.failed).toBeGreaterThan(0);
    const messages = lines.map((line) => JSON.parse(line).message);
    const said = messages.filter((message) => /does not take|again/.test(message));
    expect(said.length).toBeGreaterThan(0);
    // On a crowded machine a broker that is just back may fail once more: that is another outage.
    for (const [index, message] of said.entries())
      expect(message).toContain(index % 2 === 0 ? "does not take" : "again");
    expect(said.length % 2).toBe(0);
  }, 60_000);
});
