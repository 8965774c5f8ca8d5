/** What functions tell of themselves: each figure of an alarm, by the function that is to record it. */
import { takeLease } from "@headrace/db";
import { forgetConfig, useMetricSink } from "@headrace/handler";
import { Client } from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { event, takeIn } from "../db/take-in.ts";
import { testClients } from "../kafka/clients.ts";
import { testDatabase } from "../support/database.ts";
import { readEmbeddedMetrics } from "../support/embedded-metrics.ts";
import { kafkaEvent, uniqueTopic } from "../support/kafka.ts";
import { deleteRecords } from "./delete-records.ts";

const db = await testDatabase();
const { admin, producer, config, newTopic } = await testClients();
const main = uniqueTopic();
await admin.ensureTopic(main, { partitions: 1 });
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = config.brokers.join();
process.env.EVENTS_TOPIC = main;
process.env.EVENT_HORIZON_DAYS = "3650";
process.env.HEADRACE_STAGE = "blue";
forgetConfig();
const { handler: ingest } = await import("../../functions/kafka/ingest-events.ts");
const { handler: watch } = await import("../../functions/cron/watch-progress.ts");
const { handler: fill } = await import("../../functions/cron/fill-gaps.ts");

const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
let lines: string[] = [];
beforeEach(async () => {
  lines = [];
  useMetricSink((line) => lines.push(line));
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, stream_gaps, stream_ends, dead_letters,
       open_windows, realtime_aggregates, leases`,
  );
});
afterEach(() => useMetricSink(undefined));

/** Each line's scope and values. */
const recorded = () =>
  lines.map(readEmbeddedMetrics).map(({ dimensions, values }) => [dimensions.at(-1), values]);

test("ingest-events tells what it stored and set aside for the first time, and nothing twice", async () => {
  const batch = kafkaEvent("t", { 0: [event(), event(), "no json"] }, { offsets: { 0: 0 } });
  await ingest(batch, context);
  await ingest(batch, context);
  expect(recorded()).toEqual([
    ["stage=blue,topic=t", { EventsStored: "2", DeadLetters: "1" }],
    ["stage=blue,topic=t", { EventsStored: "0", DeadLetters: "0" }],
  ]);
});

test("watch-progress tells how far the partition that lags most is, and what is missing", async () => {
  const topic = await newTopic(2);
  const records = [0, 0, 0, 1].map((partition) => ({ topic, partition, value: "{}" }));
  await producer.send(records);
  await takeIn(db.pool, [event()], { topic, partition: 0, timestampMillis: Date.now() });
  await watch({}, context);
  await takeIn(db.pool, [event()], { topic, partition: 1, offset: 0 });
  await takeIn(db.pool, [event()], { topic, partition: 1, offset: 5 });
  lines = [];
  await watch({}, context);
  const [[scope, values] = []] = recorded();
  expect(scope).toBe("stage=blue");
  expect(values).toMatchObject({ OffsetLag: "2", OpenGaps: "1", OverdueSessions: "0" });
  expect(lines).toHaveLength(1);
});

test("watch-progress tells the age of the oldest transaction that writes, and of the watermark", async () => {
  await db.pool.query("update clock set watermark = clock_timestamp() - interval '1 hour'");
  const other = new Client({ connectionString: db.ownerUrl });
  await other.connect();
  try {
    await other.query("begin");
    await other.query("select pg_current_xact_id()");
    await db.pool.query("select pg_sleep(0.2)");
    await watch({}, context);
  } finally {
    await other.end();
  }
  const [[, values] = []] = recorded() as [string, Record<string, string>][];
  expect(Number.parseFloat(values?.XminAgeSeconds ?? "")).toBeGreaterThanOrEqual(0.2);
  expect(Number.parseFloat(values?.XminAgeSeconds ?? "")).toBeLessThan(60);
  expect(Number.parseFloat(values?.WatermarkLagSeconds ?? "")).toBeGreaterThanOrEqual(3600);
  expect(Number.parseFloat(values?.WatermarkLagSeconds ?? "")).toBeLessThan(3660);
});

test("watch-progress tells how long a window state has waited, from look to look", async () => {
  const waited = async () => {
    lines = [];
    await watch({}, context);
    const [[, values] = []] = recorded() as [string, Record<string, string>][];
    return Number.parseFloat(values?.FreshnessSeconds ?? "");
  };
  expect(await waited()).toBe(0);
  await takeIn(db.pool, [event()], { topic: main });
  expect(await waited()).toBe(0);
  await db.pool.query("select pg_sleep(0.2)");
  const longer = await waited();
  expect(longer).toBeGreaterThanOrEqual(0.2);
  // Newer states do not make an older one younger.
  await takeIn(db.pool, [event()], { topic: main });
  expect(await waited()).toBeGreaterThan(longer);
  await db.pool.query("truncate open_windows");
  expect(await waited()).toBe(0);
});

test("watch-progress tells how far the database is also where Kafka cannot be asked", async () => {
  process.env.KAFKA_BROKERS = "";
  forgetConfig();
  try {
    await expect(watch({}, context)).rejects.toThrow("KAFKA_BROKERS is not set");
  } finally {
    process.env.KAFKA_BROKERS = config.brokers.join();
    forgetConfig();
  }
  expect(recorded()).toMatchObject([
    ["stage=blue", { OpenGaps: "0" }],
    ["stage=blue", { CronFailures: "1" }],
  ]);
});

test("watch-progress asks the database for nothing that nobody reads", async () => {
  await db.pool.query("alter table open_windows rename to away");
  try {
    await expect(watch({}, context)).rejects.toThrow('relation "open_windows" does not exist');
    useMetricSink(undefined);
    expect(await watch({}, context)).toEqual({ ran: true });
  } finally {
    await db.pool.query("alter table away rename to open_windows");
  }
});

test("fill-gaps tells what was lost, once, and what it stored", async () => {
  const topic = await newTopic();
  const events = Array.from({ length: 6 }, () => event());
  await producer.send(events.map((one) => ({ topic, partition: 0, value: JSON.stringify(one) })));
  await takeIn(db.pool, events.slice(0, 1), { topic, offset: 0 });
  await takeIn(db.pool, events.slice(5), { topic, offset: 5 });
  await deleteRecords(config, topic, 0, 3);
  await fill({}, context);
  await fill({}, context);
  expect(recorded()).toEqual([
    [`stage=blue,topic=${topic}`, { LostRecords: "2" }],
    [`stage=blue,topic=${topic}`, { EventsStored: "2", DeadLetters: "0" }],
  ]);
});

test("a cron that another runner keeps from running tells nothing", async () => {
  await takeLease(db.pool, "watch-progress", "another", 60);
  expect(await watch({}, context)).toEqual({ ran: false });
  expect(lines).toEqual([]);
});
