import { beforeEach, expect, test } from "vitest";
import { event, rowsOf, takeIn } from "../db/take-in.ts";
import { testClients } from "../kafka/clients.ts";
import { inTransaction, otherProducer } from "../kafka/other-client.ts";
import { testDatabase } from "../support/database.ts";
import { differences } from "../support/recompute.ts";
import { deleteRecords } from "./delete-records.ts";

const db = await testDatabase();
const { admin, producer, config, newTopic } = await testClients();
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = config.brokers.join();
process.env.EVENT_HORIZON_DAYS = "3650";
const { handler } = await import("../../functions/cron/fill-gaps.ts");

const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
const run = () => handler({}, context);
type Event = Record<string, unknown>;

/** Ten events in a real topic, of which those at `taken` are taken in, one batch each. */
async function topicWithGaps(taken: readonly number[], events = tenEvents()) {
  const topic = await newTopic();
  await producer.send(events.map((one) => ({ topic, partition: 0, value: JSON.stringify(one) })));
  for (const offset of taken) await takeIn(db.pool, [events[offset] as Event], { topic, offset });
  return { topic, events };
}
const tenEvents = (): Event[] => Array.from({ length: 10 }, () => event());

const gaps = async (topic: string): Promise<string[]> =>
  (
    await db.pool.query<{ text: string }>(
      `select concat_ws(' ', from_offset || '-' || to_offset, 'lost', lost, 'empty', empty,
         case when closed_at is null then 'open' else 'closed' end) as text
       from stream_gaps where topic = $1 order by from_offset`,
      [topic],
    )
  ).rows.map(({ text }) => text);
const stored = async (topic: string): Promise<unknown[]> =>
  (
    await db.pool.query(
      "select event_id from stream_events where topic = $1 order by record_offset",
      [topic],
    )
  ).rows.map(({ event_id }) => event_id);

await db.pool.query(
  "update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null",
);
beforeEach(() =>
  db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, stream_gaps, stream_ends, dead_letters,
       open_windows, realtime_aggregates, leases`,
  ),
);

test("offsets that were skipped are read again from Kafka and taken in by the same path", async () => {
  const events = tenEvents();
  events[3] = { broken: true };
  const { topic } = await topicWithGaps([0, 5, 9], events);
  expect(await run()).toEqual({ ran: true });
  expect(await gaps(topic)).toEqual(["1-5 lost 0 empty 0 closed", "6-9 lost 0 empty 0 closed"]);
  expect(await stored(topic)).toEqual(
    events.flatMap(({ event_id }) => (event_id === undefined ? [] : [event_id])),
  );
  expect(
    await rowsOf(
      db.pool,
      "select next_offset, events, duplicates, dead_letters from stream_progress",
    ),
  ).toEqual([{ next_offset: 10, events: 9, duplicates: 0, dead_letters: 1 }]);
  expect(await differences(db.pool)).toEqual([]);
  await run();
  expect(await stored(topic)).toHaveLength(9);
});

test("what retention has deleted is lost and the rest of the gap is still taken in", async () => {
  const { topic, events } = await topicWithGaps([0, 9]);
  await deleteRecords(config, topic, 0, 6);
  await run();
  expect(await gaps(topic)).toEqual(["1-9 lost 5 empty 0 closed"]);
  expect(await stored(topic)).toEqual([0, 6, 7, 8, 9].map((offset) => events[offset]?.event_id));
  expect(await differences(db.pool)).toEqual([]);
});

test("a gap of a topic that was deleted, or made again shorter, is lost as a whole", async () => {
  const gone = await topicWithGaps([0, 9]);
  const shorter = await topicWithGaps([0, 9]);
  await admin.deleteTopic(gone.topic);
  await admin.deleteTopic(shorter.topic);
  await admin.ensureTopic(shorter.topic, { partitions: 1 });
  await producer.send([{ topic: shorter.topic, partition: 0, value: JSON.stringify(event()) }]);
  await run();
  for (const { topic } of [gone, shorter]) {
    expect(await gaps(topic)).toEqual(["1-9 lost 8 empty 0 closed"]);
  }
});

test("the ends of transactions, and what was aborted, are empty", async () => {
  const topic = await newTopic();
  const others = otherProducer(config);
  const text = (one: Event) => JSON.stringify(one);
  const [first, second, third] = [event(), event(), event()];
  try {
    await inTransaction({ others, admin }, topic, [text(first)], "commit"); // 0, and its end at 1
    await inTransaction({ others, admin }, topic, [text(event())], "abort"); // 2 and 3
    await inTransaction({ others, admin }, topic, [text(second)], "commit"); // 4 and 5
    await inTransaction({ others, admin }, topic, [text(third)], "commit"); // 6 and 7
  } finally {
    await others.close();
  }
  await takeIn(db.pool, [first], { topic, offset: 0 });
  await takeIn(db.pool, [third], { topic, offset: 6 });
  await run();
  expect(await gaps(topic)).toEqual(["1-6 lost 0 empty 4 closed"]);
  expect(await stored(topic)).toEqual([first, second, third].map(({ event_id }) => event_id));
  expect(await differences(db.pool)).toEqual([]);
});

test("a gap that cannot be filled does not hold up those of other topics, and is tried again", async () => {
  const events = tenEvents();
  events[4] = event({ amount: 666 });
  const stuck = await topicWithGaps([0, 9], events);
  const other = await topicWithGaps([0, 9]);
  await db.pool.query(
    "alter table stream_events add constraint no_666 check (amount_cents <> 66600)",
  );
  try {
    expect(await run()).toEqual({ ran: true });
    expect(await gaps(stuck.topic)).toEqual(["1-9 lost 0 empty 0 open"]);
    expect(await gaps(other.topic)).toEqual(["1-9 lost 0 empty 0 closed"]);
  } finally {
    await db.pool.query("alter table stream_events drop constraint no_666");
  }
  await run();
  expect(await gaps(stuck.topic)).toEqual(["1-9 lost 0 empty 0 closed"]);
  expect(await differences(db.pool)).toEqual([]);
});

test("a run without time left leaves the gap for the next one", async () => {
  const { topic } = await topicWithGaps([0, 9]);
  await handler({}, { ...context, getRemainingTimeInMillis: () => 3000 });
  const first = await gaps(topic);
  expect(first).toHaveLength(1);
  await run();
  expect(await gaps(topic)).toEqual(["1-9 lost 0 empty 0 closed"]);
  expect(await stored(topic)).toHaveLength(10);
});
