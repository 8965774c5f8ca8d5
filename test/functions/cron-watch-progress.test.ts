import { takeLease } from "@headrace/db";
import { beforeEach, expect, test } from "vitest";
import { event, rowsOf, takeIn } from "../db/take-in.ts";
import { testClients } from "../kafka/clients.ts";
import { testDatabase } from "../support/database.ts";
import { uniqueTopic } from "../support/kafka.ts";

const db = await testDatabase();
const { admin, producer, config, newTopic } = await testClients();
const main = uniqueTopic();
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = config.brokers.join();
process.env.EVENTS_TOPIC = main;
const { handler } = await import("../../functions/cron/watch-progress.ts");

const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 30_000 };
const run = () => handler({}, context);
const ends = async (topic: string): Promise<string[]> =>
  (
    await db.pool.query<{ text: string }>(
      `select partition || ': ' || begin_offset || '-' || end_offset as text
       from stream_ends where topic = $1 order by partition`,
      [topic],
    )
  ).rows.map(({ text }) => text);
const produce = (topic: string, partition: number, count: number) =>
  producer.send(Array.from({ length: count }, () => ({ topic, partition, value: "{}" })));

beforeEach(() => db.pool.query("truncate stream_ends, stream_progress, leases"));

test("the ends of topic events and of every topic with progress are recorded, with the time they were read", async () => {
  await admin.ensureTopic(main, { partitions: 2 });
  await produce(main, 1, 3);
  const other = await newTopic();
  await produce(other, 0, 2);
  await takeIn(db.pool, [event()], { topic: other });
  const [before] = await rowsOf(db.pool, "select clock_timestamp() as at");
  expect(await run()).toEqual({ ran: true });
  expect(await ends(main)).toEqual(["0: 0-0", "1: 0-3"]);
  expect(await ends(other)).toEqual(["0: 0-2"]);
  await produce(main, 0, 1);
  await run();
  expect(await ends(main)).toEqual(["0: 0-1", "1: 0-3"]);
  const [read] = await rowsOf(db.pool, "select min(read_at) as at from stream_ends");
  expect(Number(read?.at)).toBeGreaterThan(Number(before?.at));
});

test("a topic that does not exist yet is no fault", async () => {
  const kept = process.env.EVENTS_TOPIC;
  await takeIn(db.pool, [event()], { topic: uniqueTopic("never-made") });
  expect(await run()).toEqual({ ran: true });
  expect(process.env.EVENTS_TOPIC).toBe(kept);
});

test("a topic that was deleted is recorded as empty, and one made again with fewer partitions holds nothing in the others", async () => {
  const gone = await newTopic(1);
  const smaller = await newTopic(3);
  for (const partition of [0, 1, 2]) await produce(smaller, partition, 2);
  await produce(gone, 0, 2);
  for (const partition of [0, 1, 2])
    await takeIn(db.pool, [event(), event()], { topic: smaller, partition });
  await takeIn(db.pool, [event(), event()], { topic: gone });
  await run();
  expect(await ends(smaller)).toEqual(["0: 0-2", "1: 0-2", "2: 0-2"]);

  await admin.deleteTopic(gone);
  await admin.deleteTopic(smaller);
  await admin.ensureTopic(smaller, { partitions: 1 });
  await produce(smaller, 0, 1);
  await run();
  expect(await ends(gone)).toEqual(["0: 0-0"]);
  expect(await ends(smaller)).toEqual(["0: 0-1", "1: 0-0", "2: 0-0"]);
});

test("while another runner holds the lease nothing is read", async () => {
  await takeLease(db.pool, "watch-progress", "another", 60);
  expect(await run()).toEqual({ ran: false });
  expect(await ends(main)).toEqual([]);
});
