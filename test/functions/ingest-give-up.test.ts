/** Records that the database refuses even alone, once their batch failed too often. */
import { encodeFirstPosition, FIRST_POSITION_HEADER } from "@headrace/events";
import { closePools } from "@headrace/handler";
import { describe, expect, test } from "vitest";
import { kafkaEvent, kafkaRecord } from "../support/kafka.ts";
import { plantPoison, removePoison } from "../support/poison.ts";
import { failingIngest } from "./failing-ingest.ts";
import { TAKEN } from "./ingest-harness.ts";

const { db, ingest, fail, failAndGiveUp, event, poison, batchOf, ...kept } = await failingIngest();
const { errors, metrics, rows, texts, progress, failures, letters } = kept;

const gaps = () =>
  texts(
    "select from_offset, to_offset, next_offset, closed_at is not null from stream_gaps order by 1",
  );

/** Offsets that are still to be read again. */
const missing = () =>
  texts("select next_offset, to_offset from stream_gaps where closed_at is null order by 1");

describe("records that fail alone", () => {
  test.each([
    { size: 1, places: [0] },
    { size: 40, places: [0] },
    { size: 40, places: [39] },
    { size: 40, places: [0, 1, 17, 18, 39] },
    { size: 9, places: [0, 1, 2, 3, 4, 5, 6, 7, 8] },
    { size: 700, places: [350, 699] },
  ])("become dead letters, and their neighbours are stored: $places of $size", async (given) => {
    await plantPoison(db.pool);
    const values = batchOf(given.size, given.places);
    await failAndGiveUp(kafkaEvent("t", { 0: values }, { offsets: { 0: 100 } }));
    const kept = values.length - given.places.length;
    expect(await progress()).toEqual([`t 0 ${100 + given.size} ${kept} 0 ${given.places.length}`]);
    expect(await letters()).toEqual(given.places.map((at) => `0 ${100 + at} batch.gave_up`));
    expect(await texts("select record_offset from stream_events order by 1")).toEqual(
      values.flatMap((_, at) => (given.places.includes(at) ? [] : [String(100 + at)])),
    );
    expect(await failures()).toEqual([]);
    expect(await gaps()).toEqual([]);
  });

  test("are kept with their bytes and what the database said, without data", async () => {
    await plantPoison(db.pool);
    const bad = poison();
    await failAndGiveUp(
      kafkaEvent(
        "t",
        { 0: [event(), kafkaRecord(bad, { key: "k" }), event()] },
        { offsets: { 0: 0 } },
      ),
    );
    expect(
      await rows(
        "select code, path, message, convert_from(key, 'UTF8') as key, convert_from(bytes, 'UTF8') as bytes from dead_letters",
      ),
    ).toEqual([
      {
        code: "batch.gave_up",
        path: "",
        message: "could not be stored, not even alone: SQLSTATE P0001",
        key: "k",
        bytes: JSON.stringify(bad),
      },
    ]);
  });

  test("name the constraint that they break", async () => {
    await db.pool.query(
      "alter table stream_events add constraint no_666 check (amount_cents <> 66600)",
    );
    try {
      await failAndGiveUp(
        kafkaEvent("t", { 0: [event({ amount: 666 }), event()] }, { offsets: { 0: 0 } }),
      );
    } finally {
      await db.pool.query("alter table stream_events drop constraint no_666");
    }
    expect(await texts("select message from dead_letters")).toEqual([
      expect.stringMatching(/SQLSTATE 23514 \(table stream_events_\d{8}, constraint no_666\)$/),
    ]);
  });

  test("are told in one line of the log and one metric", async () => {
    await plantPoison(db.pool);
    const given = kafkaEvent("t", { 0: batchOf(10, [2, 7]) }, { offsets: { 0: 0 } });
    await fail(given, 20);
    errors.length = 0;
    metrics.length = 0;
    await ingest(given);
    expect(errors.map(({ message, fields }) => ({ message, ...fields }))).toEqual([
      {
        message: "records were given up: they failed alone, and are dead letters now",
        topic: "t",
        partition: 0,
        firstOffset: 0,
        lastOffset: 9,
        records: 2,
      },
    ]);
    expect(metrics.filter((it) => "GaveUpRecords" in it)).toMatchObject([
      { topic: "t", GaveUpRecords: 2 },
    ]);
  });

  test("are found whatever it is that refuses them", async () => {
    const other = { event_type: "odd_one", user_id: "u9" };
    for (const [partition, options] of [
      { table: "open_windows" as const, when: "new.event_type = 'odd_one'" },
      { table: "event_types" as const, when: "new.event_type = 'odd_one'" },
      { when: "new.user_id = 'u9'", deferred: true },
    ].entries()) {
      await db.pool.query("delete from event_types where event_type = 'odd_one'");
      await closePools();
      await removePoison(db.pool);
      if (options.table !== "event_types") {
        await db.pool.query("insert into event_types (event_type) values ('odd_one')");
      }
      await plantPoison(db.pool, options);
      await failAndGiveUp(
        kafkaEvent(
          "t",
          { [partition]: [event(), event(), event(other), event()] },
          { offsets: { [partition]: 0 } },
        ),
      );
    }
    expect(await progress()).toEqual(["t 0 4 3 0 1", "t 1 4 3 0 1", "t 2 4 3 0 1"]);
    expect(await letters()).toEqual([
      "0 2 batch.gave_up",
      "1 2 batch.gave_up",
      "2 2 batch.gave_up",
    ]);
  });

  test("leave no gap where offsets hold no record", async () => {
    await plantPoison(db.pool);
    const values = [event(), poison(), event(), event(), poison(), event()];
    const spread = values.map((value, at) => kafkaRecord(value, { offset: at * 5 + 3 }));
    await failAndGiveUp(kafkaEvent("t", { 0: spread }));
    expect(await gaps()).toEqual([]);
    expect(await progress()).toEqual(["t 0 29 4 0 2"]);
    expect(await letters()).toEqual(["0 8 batch.gave_up", "0 23 batch.gave_up"]);
  });

  test("count in every partition for itself", async () => {
    await plantPoison(db.pool);
    const given = kafkaEvent(
      "t",
      { 0: batchOf(5, [0]), 1: batchOf(5, [4]), 2: batchOf(5, []) },
      { offsets: { 0: 0, 1: 0, 2: 0 } },
    );
    await fail(kafkaEvent("t", { 1: [poison()] }, { offsets: { 1: 0 } }), 5);
    await fail(given, 15);
    await fail(given, 1);
    expect(await progress()).toEqual(["t 0 0 0 0 0", "t 1 5 4 0 1", "t 2 5 5 0 0"]);
    expect(await failures()).toEqual(["t 0 0 16 P0001"]);
    await fail(given, 4);
    expect(await ingest(given)).toEqual(TAKEN);
    expect(await progress()).toEqual(["t 0 5 4 0 1", "t 1 5 4 0 1", "t 2 5 5 0 0"]);
  });

  test("stand beside unreadable ones and events that were sent twice", async () => {
    await plantPoison(db.pool);
    const [twice, bad] = [event(), poison()];
    const values = [twice, "not json", bad, twice, null, bad, event()];
    const given = kafkaEvent("t", { 0: values }, { offsets: { 0: 0 } });
    await failAndGiveUp(given);
    expect(await progress()).toEqual(["t 0 7 2 1 4"]);
    expect(await letters()).toEqual([
      "0 1 event.not_json",
      "0 2 batch.gave_up",
      "0 4 event.tombstone",
      "0 5 batch.gave_up",
    ]);
  });

  test("lie in a gap, and the rest of the gap is filled", async () => {
    await ingest(kafkaEvent("t", { 0: [event()] }, { offsets: { 0: 0 } }));
    await ingest(kafkaEvent("t", { 0: [event()] }, { offsets: { 0: 20 } }));
    await plantPoison(db.pool);
    const late = [5, 6, 8, 9, 12, 13].map((offset) =>
      kafkaRecord(offset === 8 || offset === 13 ? poison() : event(), { offset }),
    );
    await failAndGiveUp(kafkaEvent("t", { 0: late }));
    expect(await letters()).toEqual(["0 8 batch.gave_up", "0 13 batch.gave_up"]);
    expect(await progress()).toEqual(["t 0 21 6 0 2"]);
    expect(await missing()).toEqual(["1 5", "14 20"]);
  });

  test("lie at the beginning of a topic that was made again, which is followed", async () => {
    await ingest(kafkaEvent("t", { 0: batchOf(20, []) }, { offsets: { 0: 0 } }));
    await plantPoison(db.pool);
    const again = { offsets: { 0: 0 }, timestampMillis: Date.UTC(2026, 0, 2) };
    await failAndGiveUp(kafkaEvent("t", { 0: batchOf(4, [0, 2]) }, again));
    expect(await progress()).toEqual(["t 0 4 22 0 2"]);
    await ingest(kafkaEvent("t", { 0: [event()] }, { ...again, offsets: { 0: 4 } }));
    expect(await progress()).toEqual(["t 0 5 23 0 2"]);
    expect(await gaps()).toEqual([]);
  });

  test("stay dead letters when their batch comes again after a fix, and nothing moves", async () => {
    await plantPoison(db.pool);
    const given = kafkaEvent("t", { 0: batchOf(6, [1, 4]) }, { offsets: { 0: 0 } });
    await failAndGiveUp(given);
    await ingest(kafkaEvent("t", { 0: batchOf(10, []) }, { offsets: { 0: 6 } }));
    const before = await progress();
    await removePoison(db.pool);
    expect(await ingest(given)).toEqual(TAKEN);
    expect(await progress()).toEqual(before);
    expect(before).toEqual(["t 0 16 14 0 2"]);
  });

  test("are the same letter when it was sent again and failed again, and nothing moves after a fix", async () => {
    await plantPoison(db.pool);
    const bad = poison();
    await failAndGiveUp(kafkaEvent("t", { 0: [bad, event()] }, { offsets: { 0: 0 } }));
    const position = { topic: "t", partition: 0, offset: 0, timestampMillis: Date.UTC(2026, 0, 1) };
    const headers = [[FIRST_POSITION_HEADER, encodeFirstPosition(position)]] as const;
    const again = kafkaEvent(
      "t",
      { 0: [kafkaRecord(bad, { headers }), event()] },
      { offsets: { 0: 2 } },
    );
    await failAndGiveUp(again);
    expect(await progress()).toEqual(["t 0 4 2 0 1"]);
    await ingest(kafkaEvent("t", { 0: batchOf(10, []) }, { offsets: { 0: 4 } }));
    await removePoison(db.pool);
    expect(await ingest(again)).toEqual(TAKEN);
    expect(await progress()).toEqual(["t 0 14 13 0 1"]);
  });

  test("are none whose event was stored meanwhile", async () => {
    const twice = event();
    await ingest(kafkaEvent("t", { 0: [twice] }, { offsets: { 0: 0 } }));
    await db.pool.query("create sequence tries");
    await plantPoison(db.pool, {
      table: "stream_progress",
      on: "update",
      when: "true",
      body: "if nextval('tries') <= 21 then raise exception 'not yet'; end if",
    });
    await failAndGiveUp(kafkaEvent("t", { 0: [twice] }, { offsets: { 0: 1 } }));
    await db.pool.query("drop sequence tries");
    expect(await letters()).toEqual([]);
    expect(await progress()).toEqual(["t 0 2 1 1 0"]);
  });

  test("are none where the cause is gone by then", async () => {
    await plantPoison(db.pool);
    const given = kafkaEvent("t", { 0: batchOf(6, [1, 4]) }, { offsets: { 0: 0 } });
    await fail(given, 20);
    await removePoison(db.pool);
    expect(await ingest(given)).toEqual(TAKEN);
    expect(await progress()).toEqual(["t 0 6 6 0 0"]);
    expect(await failures()).toEqual([]);
  });

  test("are each one dead letter when several deliveries try them at once", async () => {
    await plantPoison(db.pool);
    const given = kafkaEvent("t", { 0: batchOf(60, [0, 30, 31, 59]) }, { offsets: { 0: 0 } });
    await fail(given, 20);
    const outcomes = await Promise.allSettled([ingest(given), ingest(given), ingest(given)]);
    expect(outcomes.map(({ status }) => status)).toContain("fulfilled");
    await ingest(given).catch(() => ingest(given));
    expect(await progress()).toEqual(["t 0 60 56 0 4"]);
    expect(await letters()).toHaveLength(4);
    expect(await failures()).toEqual([]);
  });
});
