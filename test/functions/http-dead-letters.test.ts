import { randomUUID } from "node:crypto";
import { derivedEventId } from "@headrace/events";
import { forgetConfig } from "@headrace/handler";
import { afterAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { kafkaBrokers, kafkaEvent, kafkaRecord } from "../support/kafka.ts";
import { POISON, plantPoison, removePoison } from "../support/poison.ts";
import { httpClient } from "./http-client.ts";
import { testTopic } from "./topic-reader.ts";

const [db, brokers] = await Promise.all([testDatabase(), kafkaBrokers()]);
const topic = await testTopic(brokers, { partitions: 1 });
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = brokers.join(",");
const client = await httpClient(await import("../../functions/http/operations.ts"), [
  "admin",
  "reports:read",
]);
const { handler: ingestEvents } = await import("../../functions/kafka/ingest-events.ts");
afterAll(() => topic.close());

const RECORD_MILLIS = Date.parse("2026-11-01T00:00:00Z");
const ingest = async (
  values: readonly unknown[],
  options: { topic?: string; partition?: number; firstOffset?: number } = {},
) => {
  const { topic: name = topic.name, partition = 0, firstOffset } = options;
  const batch = kafkaEvent(
    name,
    { [partition]: values },
    {
      timestampMillis: RECORD_MILLIS,
      ...(firstOffset === undefined ? {} : { offsets: { [partition]: firstOffset } }),
    },
  );
  const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
  expect(await ingestEvents(batch, context)).toEqual({ batchItemFailures: [] });
};
const event = (time: string, more: Record<string, unknown> = {}) => ({
  event_time: time,
  event_type: "page_view",
  user_id: "u1",
  ...more,
});

beforeEach(async () => {
  await topic.taken();
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, stream_ends, stream_gaps, dead_letters,
       open_windows, realtime_aggregates, stream_failures;
     update clock set watermark = null`,
  );
});

describe("GET /v1/dead-letters", () => {
  const list = async (query = "") => (await client.get(`/v1/dead-letters?${query}`)).body;

  test("shows each letter with its place, its reason and the beginning of what it held", async () => {
    const long = "é".repeat(3000);
    await ingest([
      kafkaRecord("not json", { key: "user" }),
      kafkaRecord(Buffer.from([0xff, 0x00]), { key: Buffer.from([0xfe]) }),
      null,
      event("2026-10-31T00:00:00", { user_id: long }),
      `x${long}`,
    ]);
    const { dead_letters: letters, next_cursor } = await list();
    expect(next_cursor).toBe(null);
    const byOffset = letters.toSorted(
      (a: { offset: number }, b: { offset: number }) => a.offset - b.offset,
    );
    const [text, bytes, tombstone, shape, cut] = byOffset;
    expect(text).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      topic: topic.name,
      partition: 0,
      offset: text.offset,
      record_time: "2026-11-01T00:00:00Z",
      code: "event.not_json",
      path: "",
      message: "is not JSON in UTF-8",
      key: { text: "user", encoding: "utf8", size_bytes: 4, truncated: false },
      value: { text: "not json", encoding: "utf8", size_bytes: 8, truncated: false },
      created_at: expect.stringMatching(/Z$/),
      replayed_at: null,
    });
    expect(bytes.key).toMatchObject({ text: "/g==", encoding: "base64" });
    expect(bytes.value).toMatchObject({ text: "/wA=", encoding: "base64", size_bytes: 2 });
    expect([tombstone.code, tombstone.value, tombstone.key]).toEqual([
      "event.tombstone",
      null,
      null,
    ]);
    expect([shape.code, shape.path]).toEqual(["event.event_time", "/event_time"]);
    // 4096 bytes end in the middle of a character.
    expect(cut.value).toEqual({
      text: `x${"é".repeat(2047)}`,
      encoding: "utf8",
      size_bytes: 6001,
      truncated: true,
    });
  });

  test("filters by code, topic and time, the newest first, page by page", async () => {
    await db.pool.query(
      `insert into dead_letters
         (dead_letter_id, topic, partition, record_offset, record_time, code, path, message, created_at)
       select
         ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
         case when n % 2 = 0 then 'even' else 'odd' end, 0, n, now(),
         case when n % 5 = 0 then 'event.data' else 'event.text' end, '', '',
         timestamptz '2026-11-02T00:00:00Z' + make_interval(mins => n / 3)
       from generate_series(0, 29) as n`,
    );
    const range = "from=2026-11-02T00:00:00Z&to=2026-11-03T00:00:00Z";
    const offsets = ({ dead_letters }: { dead_letters: { offset: number }[] }) =>
      dead_letters.map(({ offset }) => offset);
    const all = offsets(await list(range));
    expect(all).toEqual(Array.from({ length: 30 }, (_, n) => 29 - n));
    expect(offsets(await list(`${range}&code=event.data&topic=even`))).toEqual([20, 10, 0]);
    expect(offsets(await list("from=2026-11-02T00:01:00Z&to=2026-11-02T00:02:00Z"))).toEqual([
      5, 4, 3,
    ]);
    const paged: number[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page = await list(`${range}&limit=7${cursor && `&cursor=${cursor}`}`);
      paged.push(...offsets(page));
      cursor = page.next_cursor;
    }
    expect(paged).toEqual(all);
  });

  test.each([
    ["code=not_json", "request.query", "/code"],
    ["topic=a b", "request.query", "/topic"],
    ["limit=201", "request.query", "/limit"],
    ["from=today", "request.query", "/from"],
    ["id=1", "request.query", "/id"],
    ["from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/to"],
    ["from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/from"],
    ["cursor=abc", "cursor.invalid", "/cursor"],
  ])("refuses ?%s", async (query, code, path) => {
    const { status, body } = await client.get(`/v1/dead-letters?${query.replace(" ", "%20")}`);
    expect([status, body.code, body.errors[0].path]).toEqual([400, code, path]);
  });

  test("is for administrators only", async () => {
    const token = await client.token("reports:read", "events:write");
    for (const ask of [
      client.get("/v1/dead-letters", { token }),
      client.post("/v1/dead-letters/replay", { ids: [] }, { token }),
    ]) {
      const { status, body } = await ask;
      expect([status, body.code]).toEqual([403, "token.scope"]);
    }
  });
});

describe("POST /v1/dead-letters/replay", () => {
  const replay = (body: unknown) => client.post("/v1/dead-letters/replay", body);
  const letters = async () =>
    (
      await db.pool.query(
        `select dead_letter_id as id, code, replayed_at is not null as replayed
         from dead_letters
         order by record_offset`,
      )
    ).rows;
  /** Hands what was produced to ingest, as the poller does. */
  const ingestProduced = async () => {
    const records = await topic.taken();
    await ingest(
      records.map(({ value, key, headers, timestampMillis }) =>
        kafkaRecord(value, {
          key,
          timestampMillis,
          headers: headers.map((it) => [it.key, it.value] as const),
        }),
      ),
    );
    return records;
  };

  test("sends the bytes again under their key; what can be read now is stored, once", async () => {
    // Half an hour ahead of its record: readable as soon as its time has come.
    const early = JSON.stringify(event("2026-11-01T00:30:00Z", { data: { n: 1e21 } }));
    await ingest([kafkaRecord(early, { key: "u1", offset: 70 }), "never json"], {
      firstOffset: 70,
    });
    const [{ id }, other] = await letters();
    const first = await replay({ ids: [id] });
    expect([first.status, first.body]).toEqual([
      200,
      { replayed: [id], not_replayable: [], remaining: 0 },
    ]);
    expect((await letters()).map(({ replayed }) => replayed)).toEqual([true, false]);
    const [record] = await ingestProduced();
    expect([record?.key?.toString(), record?.value?.toString()]).toEqual(["u1", early]);

    await replay({ ids: [id, other.id] });
    await ingestProduced();
    const stored = await db.pool.query("select event_id, data from stream_events");
    const position = {
      topic: topic.name,
      partition: 0,
      offset: 70,
      timestampMillis: RECORD_MILLIS,
    };
    expect(stored.rows).toEqual([{ event_id: derivedEventId(position), data: { n: 1e21 } }]);
    // What still cannot be read is the same letter again.
    expect((await letters()).map(({ code }) => code)).toEqual([
      "event.in_future",
      "event.not_json",
    ]);
  });

  test("stores what was given up, once its cause is gone, under the identity it had", async () => {
    process.env.KAFKA_FAILURES = "throw";
    forgetConfig();
    onTestFinished(() => {
      delete process.env.KAFKA_FAILURES;
      forgetConfig();
    });
    await plantPoison(db.pool);
    await db.pool.query(
      `insert into stream_failures (topic, partition, first_offset, failures, code)
       values ($1, 0, 80, 20, 'P0001')`,
      [topic.name],
    );
    const bad = event("2026-11-01T00:00:00Z", { user_id: POISON });
    const good = event("2026-11-01T00:00:00Z");
    await ingest([good, kafkaRecord(bad, { key: "k" }), good], { firstOffset: 80 });
    expect(await letters()).toMatchObject([{ code: "batch.gave_up", replayed: false }]);

    await removePoison(db.pool);
    for (const again of [false, true]) {
      const { body } = await replay({ code: "batch.gave_up", again });
      expect(body).toMatchObject({ replayed: [expect.any(String)], remaining: 0 });
      await ingestProduced();
    }
    const stored = await db.pool.query(
      "select event_id, user_id from stream_events where user_id = $1",
      [POISON],
    );
    const position = {
      topic: topic.name,
      partition: 0,
      offset: 81,
      timestampMillis: RECORD_MILLIS,
    };
    expect(stored.rows).toEqual([{ event_id: derivedEventId(position), user_id: POISON }]);
    expect(await letters()).toMatchObject([{ code: "batch.gave_up", replayed: true }]);
  });

  test("keeps a letter's identity where its producer's clock was far ahead", async () => {
    const ahead = Date.now() + 3_600_000;
    const batch = kafkaEvent(
      topic.name,
      { 0: ["still no json"] },
      { timestampMillis: ahead, timestampType: "CREATE_TIME" },
    );
    const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
    await ingestEvents(batch, context);
    const [{ id }] = await letters();
    await replay({ ids: [id] });
    await ingestProduced();
    expect((await letters()).map((letter) => letter.id)).toEqual([id]);
  });

  test("by code goes through those not yet sent, the oldest first, as many as the limit says", async () => {
    await ingest(["a", "b", "c", event("2026-10-31T00:00:00", {})]);
    const outcome = async (body: Record<string, unknown>) => {
      const { replayed, remaining } = (await replay({ code: "event.not_json", ...body })).body;
      return [replayed.length, remaining];
    };
    expect(await outcome({ limit: 2 })).toEqual([2, 1]);
    expect(await outcome({ limit: 2 })).toEqual([1, 0]);
    expect(await outcome({ limit: 2 })).toEqual([0, 0]);
    const values = (await topic.taken()).map(({ value }) => value?.toString());
    expect(values.toSorted()).toEqual(["a", "b", "c"]);
    expect(await outcome({ to: "2026-01-01T00:00:00Z", again: true })).toEqual([0, 0]);
    expect(await outcome({ from: "2026-01-01T00:00:00Z", again: true })).toEqual([3, 0]);
  });

  test("of a stretch that ends before it begins is refused as a list of it is", async () => {
    await ingest(["a"]);
    const answer = await replay({
      code: "event.not_json",
      from: "2026-01-02T00:00:00Z",
      to: "2026-01-01T00:00:00Z",
    });
    expect([answer.status, answer.body.code]).toEqual([400, "report.range"]);
    expect(answer.body.errors).toEqual([{ path: "/to", message: "to must be after from" }]);
  });

  test.each<[Record<string, unknown>, string, string]>([
    [{ ids: "x" }, "/ids", "must be an array"],
    [{ ids: [] }, "/ids", "must hold at least 1"],
    [{ ids: ["x"] }, "/ids/0", "must be a UUID"],
    [{ ids: Array(501).fill(randomUUID()) }, "/ids", "must hold at most 500"],
    [{ code: "event.x", limit: 0 }, "/limit", "must be a whole number from 1 to 500"],
    [{ code: "event.x", limit: 501 }, "/limit", "must be a whole number from 1 to 500"],
    [{ code: "event.x", limit: 1.5 }, "/limit", "must be a whole number from 1 to 500"],
    [{ code: "event.x", limit: "1" }, "/limit", "must be a whole number from 1 to 500"],
    [{ code: "event.x", again: 1 }, "/again", "must be true or false"],
    [{ code: 7 }, "/code", "must be a text"],
    [{ code: "x" }, "/code", "must be a code such as event.not_json"],
  ])("of %j is refused in words of its own", async (body, path, message) => {
    const answer = await replay(body);
    expect([answer.status, answer.body.code]).toEqual([400, "request.body"]);
    expect(answer.body.errors).toContainEqual({ path, message });
  });

  test("names those that cannot be sent: tombstones, expired bytes, unknown ids", async () => {
    await ingest([null, "gone", "there"]);
    await db.pool.query("update dead_letters set bytes = null where bytes = 'gone'");
    const [tombstone, expired, there] = await letters();
    const unknown = "00000000-0000-4000-8000-000000000000";
    const { body } = await replay({ ids: [unknown, there.id, expired.id, tombstone.id] });
    expect(body.replayed).toEqual([there.id]);
    expect(
      Object.fromEntries(
        body.not_replayable.map((it: { id: string; reason: string }) => [it.id, it.reason]),
      ),
    ).toEqual({ [tombstone.id]: "tombstone", [expired.id]: "expired", [unknown]: "unknown" });
    const byCode = await replay({ code: "event.not_json" });
    expect(byCode.body).toEqual({
      replayed: [],
      not_replayable: [{ id: expired.id, reason: "expired" }],
      remaining: 0,
    });
  });

  test("sends no more bytes at once than it may hold, and says how many letters are left", async () => {
    await db.pool.query(
      `insert into dead_letters
         (dead_letter_id, topic, partition, record_offset, record_time, code, path, message, bytes)
       select gen_random_uuid(), $1, 0, n, now(), 'event.data', '', '', convert_to(repeat('x', 900000), 'UTF8')
       from generate_series(1, 20) as n`,
      [topic.name],
    );
    const { body } = await replay({ code: "event.data" });
    expect([body.replayed.length, body.remaining]).toEqual([18, 2]);
    expect((await topic.taken()).length).toBe(18);
  });

  test.each<[string, unknown]>([
    ["no selection", {}],
    ["an empty list", { ids: [] }],
    ["an id that is none", { ids: ["1"] }],
    ["501 ids", { ids: Array(501).fill("00000000-0000-4000-8000-000000000000") }],
    ["both kinds of selection", { ids: ["00000000-0000-4000-8000-000000000000"], code: "event.x" }],
    ["a limit beside ids", { ids: ["00000000-0000-4000-8000-000000000000"], limit: 1 }],
    ["a limit of 0", { code: "event.x", limit: 0 }],
    ["a limit of 501", { code: "event.x", limit: 501 }],
    ["a code that is none", { code: "x' or true --" }],
    ["a time that is none", { code: "event.x", from: "today" }],
    ["an unknown field", { code: "event.x", all: true }],
    ["an array", []],
  ])("refuses %s", async (_, body) => {
    const answer = await replay(body);
    expect([answer.status, answer.body.code]).toEqual([400, "request.body"]);
  });
});
