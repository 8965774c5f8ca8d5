import { finishWindows, takeLease } from "@headrace/db";
import { derivedEventId, encodeFirstPosition, FIRST_POSITION_HEADER } from "@headrace/events";
import { expect, test } from "vitest";
import { kafkaEvent, kafkaRecord } from "../support/kafka.ts";
import { at, ingestHarness, NOW } from "./ingest-harness.ts";

const { db, ingest, event, rows, stored, progress } = await ingestHarness();

test("a redelivered batch counts once", async () => {
  const batch = kafkaEvent("t", { 0: [event(), event()] }, { offsets: { 0: 0 } });
  expect(await ingest(batch)).toEqual({ batchItemFailures: [] });
  expect(await ingest(batch)).toEqual({ batchItemFailures: [] });
  expect(await progress()).toEqual(["t 0 2 2 0 0"]);
});

test("a batch that overlaps what was taken in adds only what is new", async () => {
  const [a, b, c] = [event(), event(), event()];
  await ingest(kafkaEvent("t", { 0: [a, b] }, { offsets: { 0: 0 } }));
  await ingest(kafkaEvent("t", { 0: [b, c] }, { offsets: { 0: 1 } }));
  expect(await progress()).toEqual(["t 0 3 3 0 0"]);
});

test("concurrent deliveries of one batch count once", async () => {
  const batch = kafkaEvent(
    "t",
    { 0: Array.from({ length: 50 }, () => event()) },
    { offsets: { 0: 0 } },
  );
  await Promise.all([ingest(batch), ingest(batch), ingest(batch)]);
  expect(await progress()).toEqual(["t 0 50 50 0 0"]);
});

test("an event that a client sent twice is stored once and counted as a duplicate", async () => {
  const twice = event({ amount: "12.50", event_type: "purchase" });
  await ingest(kafkaEvent("t", { 0: [twice, event(), twice] }, { offsets: { 0: 0 } }));
  await ingest(
    kafkaEvent("t", { 0: [twice], 1: [{ ...twice, amount: "99" }] }, { offsets: { 0: 3, 1: 0 } }),
  );
  expect(await stored()).toBe(2);
  expect(await progress()).toEqual(["t 0 4 2 2 0", "t 1 1 0 1 0"]);
  expect(
    await rows("select amount_cents from stream_events where amount_cents is not null"),
  ).toEqual([{ amount_cents: 1250 }]);
});

test("the same id with another time is another event", async () => {
  const one = event();
  await ingest(kafkaEvent("t", { 0: [one, { ...one, event_time: at(1) }] }, { offsets: { 0: 0 } }));
  expect(await stored()).toBe(2);
});

test("the same events in two partitions in opposite order are stored once", async () => {
  const events = Array.from({ length: 400 }, () => event());
  await ingest(kafkaEvent("t", { 0: events, 1: events.toReversed() }, { offsets: { 0: 0, 1: 0 } }));
  expect(await stored()).toBe(400);
  expect(
    await rows("select sum(events) as events, sum(duplicates) as duplicates from stream_progress"),
  ).toEqual([{ events: "400", duplicates: "400" }]);
});

test("an unreadable record becomes a dead letter with its bytes and the rest goes on", async () => {
  const batch = kafkaEvent(
    "t",
    { 0: [event(), "not json", event({ amount: -1 }), null, undefined, event()] },
    { offsets: { 0: 0 } },
  );
  await ingest(batch);
  await ingest(batch);
  expect(
    await rows(
      "select record_offset as at, code, convert_from(bytes, 'UTF8') as text from dead_letters order by 1",
    ),
  ).toEqual([
    { at: 1, code: "event.not_json", text: "not json" },
    { at: 2, code: "event.amount", text: expect.stringContaining("-1") },
    { at: 3, code: "event.tombstone", text: null },
    { at: 4, code: "event.tombstone", text: null },
  ]);
  expect(await progress()).toEqual(["t 0 6 2 0 4"]);
});

test("an event without an id is stored once however often its record is delivered", async () => {
  const { event_id: _, ...anonymous } = event();
  const batch = kafkaEvent("t", { 0: [anonymous, anonymous] }, { offsets: { 0: 0 } });
  await ingest(batch);
  await ingest(batch);
  expect(await progress()).toEqual(["t 0 2 2 0 0"]);
});

test("several topics and partitions of one event each commit for themselves", async () => {
  const records = {
    ...kafkaEvent("a-1", { 0: [event()], 7: [event()] }, { offsets: { 0: 0, 7: 0 } }).records,
    ...kafkaEvent("a", { 1: [event()] }, { offsets: { 1: 5 } }).records,
  };
  await ingest({ eventSource: "aws:kafka", records });
  expect(await progress()).toEqual(["a 1 6 1 0 0", "a-1 0 1 1 0 0", "a-1 7 1 1 0 0"]);
});

test("an event as large as Lambda sends, of several topics and partitions, is taken in whole and once", async () => {
  const notes = "n".repeat(840);
  const events = (count: number, user: string) =>
    Array.from({ length: count }, (_, n) =>
      event({ user_id: `${user}${n % 97}`, value: n, notes }),
    );
  const topics = ["clicks", "events", "events-2"].map((topic) =>
    kafkaEvent(
      topic,
      { 0: events(600, topic), 1: events(500, topic), 7: events(300, topic) },
      { offsets: { 0: 0, 1: 1_000_000, 7: 0 } },
    ),
  );
  const batch = { ...topics[0], records: Object.assign({}, ...topics.map((it) => it.records)) };
  const bytes = JSON.stringify(batch).length;
  expect(bytes).toBeGreaterThan(6_000_000);
  expect(bytes).toBeLessThan(6 * 1024 * 1024);
  for (let delivery = 0; delivery < 2; delivery++) {
    expect(await ingest(batch)).toEqual({ batchItemFailures: [] });
    expect(await progress()).toEqual(
      ["clicks", "events", "events-2"].flatMap((topic) => [
        `${topic} 0 600 600 0 0`,
        `${topic} 1 1000500 500 0 0`,
        `${topic} 7 300 300 0 0`,
      ]),
    );
  }
  expect(await stored()).toBe(4_200);
}, 60_000);

test("header bytes come signed: ours is read beside others, and one that is damaged is left aside", async () => {
  const first = { topic: "t", partition: 0, offset: 5, timestampMillis: NOW };
  const later = { topic: "t", partition: 0, offset: 7, timestampMillis: NOW };
  const foreign = ["trace-ü", Buffer.from([0xff, 0xc3, 0xa9, 0x80, 0x00])] as const;
  const ours = [FIRST_POSITION_HEADER, encodeFirstPosition(first)] as const;
  const damaged = [FIRST_POSITION_HEADER, Buffer.from([0xff, 0xfe, 0x80, 0x2f])] as const;
  const withoutId = event({ event_id: undefined });
  const batch = kafkaEvent(
    "t",
    {
      0: [
        kafkaRecord(withoutId, { headers: [foreign, ours] }),
        kafkaRecord(withoutId, { headers: [foreign, damaged] }),
      ],
    },
    { offsets: { 0: 6 }, timestampMillis: NOW },
  );
  expect(batch.records["t-0"]?.[1]?.headers).toEqual([
    { "trace-ü": [-1, -61, -87, -128, 0] },
    { [FIRST_POSITION_HEADER]: [-1, -2, -128, 47] },
  ]);
  expect(await ingest(batch)).toEqual({ batchItemFailures: [] });
  const ids = (await rows("select event_id from stream_events")).map((row) => row.event_id);
  expect(ids.toSorted()).toEqual([derivedEventId(first), derivedEventId(later)].toSorted());
});

test("an empty event and an empty partition change nothing", async () => {
  await ingest({ eventSource: "aws:kafka", records: {} });
  await ingest({ eventSource: "aws:kafka", records: { "t-0": [] } });
  expect(await progress()).toEqual([]);
});

test("a partition that fails reports all its records and keeps none, the other one commits", async () => {
  await db.pool.query(
    "alter table stream_events add constraint no_666 check (amount_cents <> 66600)",
  );
  try {
    const batch = kafkaEvent(
      "t",
      { 0: [event(), event({ amount: 666 })], 1: [event()] },
      { offsets: { 0: 10, 1: 0 } },
    );
    expect(await ingest(batch)).toEqual({
      batchItemFailures: [
        { itemIdentifier: { partition: "t-0", offset: 10 } },
        { itemIdentifier: { partition: "t-0", offset: 11 } },
      ],
    });
    expect(await stored()).toBe(1);
  } finally {
    await db.pool.query("alter table stream_events drop constraint no_666");
  }
});

test("an event older than what is kept is a dead letter", async () => {
  await db.pool.query("update clock set raw_from = '2025-12-31T00:00:00Z'");
  try {
    await ingest(
      kafkaEvent(
        "t",
        { 0: [event({ event_time: "2025-12-30T00:00:00Z" }), event()] },
        { offsets: { 0: 0 } },
      ),
    );
    expect(await rows("select code from dead_letters")).toEqual([{ code: "event.expired" }]);
    expect(await stored()).toBe(1);
  } finally {
    await db.pool.query("update clock set raw_from = '-infinity'");
  }
});

test("text that COPY would take for its own marks arrives as it was sent", async () => {
  const tricky = 'a\tb\nc\\N\r"\\.';
  await ingest(
    kafkaEvent(
      "t",
      { 0: [event({ user_id: tricky, category: "\\N", data: { [tricky]: tricky } })] },
      { offsets: { 0: 0 } },
    ),
  );
  expect(await rows("select user_id, category, data from stream_events")).toEqual([
    { user_id: tricky, category: "\\N", data: { [tricky]: tricky } },
  ]);
});

test("a dead letter that was sent again keeps the id of its first position", async () => {
  const { event_id: _, ...anonymous } = event();
  const first = kafkaRecord(anonymous, { offset: 3 });
  await ingest(kafkaEvent("t", { 0: [first] }, { offsets: { 0: 3 } }));
  const header = encodeFirstPosition({ topic: "t", partition: 0, offset: 3, timestampMillis: NOW });
  await ingest(
    kafkaEvent("t", {
      0: [kafkaRecord(anonymous, { offset: 4, headers: [[FIRST_POSITION_HEADER, header]] })],
    }),
  );
  expect(await progress()).toEqual(["t 0 5 1 1 0"]);
});

test("beyond 1,000 types further ones are stored and counted under other", async () => {
  const types = Array.from({ length: 1100 }, (_, index) => event({ event_type: `type_${index}` }));
  await ingest(kafkaEvent("t", { 0: types }, { offsets: { 0: 0 } }));
  await ingest(
    kafkaEvent("t", { 0: [event({ event_type: "one_more" })] }, { offsets: { 0: 1100 } }),
  );
  expect(await rows("select count(*) as types from event_types")).toEqual([{ types: 1000 }]);
  expect(await stored()).toBe(1101);
  const lease = await takeLease(db.pool, "finish-windows", "test", 10);
  if (lease === undefined) throw new Error("the lease is taken");
  await finishWindows(db.pool, lease, 10_000);
  expect(
    await rows(
      "select event_count from realtime_aggregates where size = '1d' and event_type = 'other'",
    ),
  ).toEqual([{ event_count: 103 }]);
});
