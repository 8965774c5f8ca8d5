/** What is known of each partition: where it goes on, its gaps, its watermark and what is late against it. */
import { expect, test } from "vitest";
import { kafkaEvent, kafkaRecord } from "../support/kafka.ts";
import { at, ingestHarness, NOW } from "./ingest-harness.ts";

const { db, ingest, event, rows, stored, progress } = await ingestHarness();

test("a first offset above the next one is a gap, and a late delivery of it fills it", async () => {
  await ingest(kafkaEvent("t", { 0: [event()] }, { offsets: { 0: 0 } }));
  await ingest(kafkaEvent("t", { 0: [event({ event_time: at(60) })] }, { offsets: { 0: 5 } }));
  const gaps = () =>
    rows(
      "select from_offset, to_offset, next_offset, closed_at is not null as closed from stream_gaps order by 1",
    );
  expect(await gaps()).toEqual([{ from_offset: 1, to_offset: 5, next_offset: 1, closed: false }]);

  await ingest(kafkaEvent("t", { 0: [event(), event()] }, { offsets: { 0: 2 } }));
  expect(await gaps()).toEqual([
    { from_offset: 1, to_offset: 2, next_offset: 1, closed: false },
    { from_offset: 2, to_offset: 4, next_offset: 4, closed: true },
    { from_offset: 4, to_offset: 5, next_offset: 4, closed: false },
  ]);
  expect(await progress()).toEqual(["t 0 6 4 0 0"]);
});

test("records of a gap are late against the watermark stored with the gap", async () => {
  await ingest(
    kafkaEvent("t", { 0: [event()] }, { offsets: { 0: 0 }, timestampMillis: NOW + 7200_000 }),
  );
  await ingest(
    kafkaEvent(
      "t",
      { 0: [event({ event_time: at(7200) })] },
      { offsets: { 0: 3 }, timestampMillis: NOW + 7200_000 },
    ),
  );
  await ingest(
    kafkaEvent(
      "t",
      { 0: [event({ event_time: at(10) }), event({ event_time: at(1) })] },
      {
        offsets: { 0: 1 },
        timestampMillis: NOW + 7200_000,
      },
    ),
  );
  expect(await rows("select late_class from stream_events order by event_time")).toEqual([
    { late_class: 0 },
    { late_class: 1 },
    { late_class: 0 },
    { late_class: 0 },
  ]);
});

test("the first batch of a partition is no gap, but one that replaced a failed first batch is", async () => {
  await ingest(kafkaEvent("t", { 0: [event()] }, { offsets: { 0: 100 } }));
  expect(await rows("select from stream_gaps")).toEqual([]);

  await db.pool.query(
    "alter table stream_events add constraint no_666 check (amount_cents <> 66600)",
  );
  await ingest(kafkaEvent("t", { 1: [event({ amount: 666 })] }, { offsets: { 1: 50 } }));
  await db.pool.query("alter table stream_events drop constraint no_666");
  await ingest(kafkaEvent("t", { 1: [event()] }, { offsets: { 1: 51 } }));
  expect(await rows("select partition, from_offset, to_offset from stream_gaps")).toEqual([
    { partition: 1, from_offset: 50, to_offset: 51 },
  ]);
});

test("a topic that was made again is followed from its new beginning", async () => {
  await ingest(
    kafkaEvent("t", { 0: Array.from({ length: 20 }, () => event()) }, { offsets: { 0: 0 } }),
  );
  await ingest(
    kafkaEvent("t", { 0: [event(), event()] }, { offsets: { 0: 0 }, timestampMillis: NOW + 1000 }),
  );
  await ingest(
    kafkaEvent("t", { 0: [event()] }, { offsets: { 0: 2 }, timestampMillis: NOW + 1000 }),
  );
  expect(await progress()).toEqual(["t 0 3 23 0 0"]);
  expect(await rows("select from stream_gaps")).toEqual([]);
});

test("lateness counts record by record, however the records are batched", async () => {
  const times = [0, 60, 30, 3_700, 3_000, 0, 90_100, 100, 90_094];
  const events = times.map((seconds) => event({ event_time: at(seconds) }));
  const options = { timestampMillis: NOW + 100_000_000 };
  await ingest(kafkaEvent("whole", { 0: events }, { ...options, offsets: { 0: 0 } }));
  const whole = await rows("select late_class from stream_events order by record_offset");
  await db.pool.query("truncate stream_events, stream_batches, stream_progress, open_windows");
  for (const [offset, one] of events.entries()) {
    await ingest(kafkaEvent("single", { 0: [one] }, { ...options, offsets: { 0: offset } }));
  }
  expect(await rows("select late_class from stream_events order by record_offset")).toEqual(whole);
  expect(whole.map((row) => row.late_class)).toEqual([0, 0, 1, 0, 2, 3, 0, 4, 1]);
});

test("a producer's timestamp far ahead counts as the database's clock, the broker's does not", async () => {
  const ahead = Date.now() + 3_600_000;
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const future = { ...event(), event_time: soon };
  await ingest(
    kafkaEvent(
      "t",
      { 0: [future] },
      { offsets: { 0: 0 }, timestampMillis: ahead, timestampType: "CREATE_TIME" },
    ),
  );
  await ingest(
    kafkaEvent(
      "t",
      { 1: [future] },
      { offsets: { 1: 0 }, timestampMillis: ahead, timestampType: "LOG_APPEND_TIME" },
    ),
  );
  expect(await progress()).toEqual(["t 0 1 0 0 1", "t 1 1 1 0 0"]);
});

test("a producer's timestamp that is none, or absurd, costs only its own record", async () => {
  const records = [-1, -1e15].map((timestampMillis) => kafkaRecord(event(), { timestampMillis }));
  await ingest(
    kafkaEvent(
      "t",
      { 0: [...records, event()] },
      { offsets: { 0: 0 }, timestampType: "CREATE_TIME" },
    ),
  );
  expect(await rows("select code, record_time from dead_letters")).toEqual([
    { code: "event.in_future", record_time: 0 },
    { code: "event.in_future", record_time: 0 },
  ]);
  expect(await stored()).toBe(1);
});

test("an event for a week without a partition still lands", async () => {
  await ingest(
    kafkaEvent(
      "t",
      { 0: [event({ event_time: "2025-03-05T12:00:00+01:00" })] },
      { offsets: { 0: 0 } },
    ),
  );
  expect(await rows("select tableoid::regclass::text as name from stream_events")).toEqual([
    { name: "stream_events_20250303" },
  ]);
});
