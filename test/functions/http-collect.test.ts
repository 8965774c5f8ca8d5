import { decodeEvent, type Event } from "@headrace/events";
import { partitionOf } from "@headrace/kafka";
import { UnsecuredJWT } from "jose";
import { afterAll, afterEach, expect, test } from "vitest";
import { kafkaBrokers } from "../support/kafka.ts";
import { httpClient } from "./http-client.ts";
import { testTopic } from "./topic-reader.ts";

const brokers = await kafkaBrokers();
const topic = await testTopic(brokers, { partitions: 3 });
process.env.KAFKA_BROKERS = brokers.join(",");
process.env.EVENTS_TOPIC = topic.name;
const client = await httpClient(await import("../../functions/http/collect.ts"), ["events:write"]);
afterAll(() => topic.close());
afterEach(async () => {
  await topic.taken();
});

const TARGET = "/v1/events";
const now = () => new Date().toISOString();
const event = (more: Record<string, unknown> = {}) => ({
  event_time: now(),
  event_type: "page_view",
  user_id: "u1",
  ...more,
});
const post = (body: unknown) => client.post(TARGET, body);

/** The events that ingest would read of what was produced. */
async function produced(): Promise<Event[]> {
  return (await topic.taken()).map(({ value, partition, offset, timestampMillis }) => {
    const position = { topic: topic.name, partition, offset, timestampMillis };
    const decoded = decodeEvent(value, position, { horizonDays: 400 });
    if ("code" in decoded) throw new Error(decoded.code);
    return decoded;
  });
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("an event is produced under its user's key and answered with a new time-ordered id", async () => {
  const { status, body } = await post(event({ user_id: "Zoë" }));
  expect(status).toBe(202);
  expect(body.events).toEqual([{ status: 202, event_id: expect.stringMatching(UUID_V7) }]);
  const [record] = await topic.taken();
  expect(record?.key?.toString()).toBe("Zoë");
  expect(record?.partition).toBe(partitionOf(Buffer.from("Zoë"), 3));
  expect(JSON.parse(record?.value?.toString() ?? "")).toMatchObject({
    event_id: body.events[0].event_id,
    user_id: "Zoë",
  });
});

test("every field arrives as it was sent, times in UTC and unknown fields under data", async () => {
  const id = "0197A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B";
  const { body } = await post(
    event({
      event_id: id,
      event_time: "2026-11-01T12:00:00.123456789+02:00",
      event_type: "purchase",
      session_id: "s",
      value: -1.5,
      amount: "12.30",
      duration: 2.25,
      category: "c",
      product_id: "p",
      region: "eu",
      data: { a: [1, "ü"] },
      campaign: "x",
    }),
  );
  expect(body.events).toEqual([{ status: 202, event_id: id.toLowerCase() }]);
  expect(await produced()).toEqual([
    {
      id: id.toLowerCase(),
      timeMicros: Date.parse("2026-11-01T10:00:00.123Z") * 1000 + 456,
      timeText: "2026-11-01T10:00:00.123456Z",
      type: "purchase",
      userId: "u1",
      sessionId: "s",
      value: -1.5,
      amountCents: 1230,
      durationSeconds: 2.25,
      category: "c",
      productId: "p",
      region: "eu",
      data: '{"a":[1,"ü"],"campaign":"x"}',
    },
  ]);
});

test("numbers past 2^53 keep every digit", async () => {
  const text = `{"event_time":"${now()}","event_type":"login","user_id":9007199254740993,
    "data":{"n":12345678901234567890.123456789}}`;
  expect((await post(text)).status).toBe(202);
  expect((await post(`[${text}]`)).status).toBe(202);
  const both = await produced();
  expect(both.map(({ userId }) => userId)).toEqual(["9007199254740993", "9007199254740993"]);
  expect(both.map(({ data }) => data)).toEqual(
    Array(2).fill('{"n":12345678901234567890.123456789}'),
  );
});

test("an array is answered in its order and keeps it in each partition", async () => {
  const sent = Array.from({ length: 500 }, (_, n) => event({ user_id: n % 7, value: n }));
  const { status, body } = await post(sent);
  expect(status).toBe(202);
  const events = await produced();
  expect(events.length).toBe(500);
  const byId = new Map(events.map((it) => [it.id, it]));
  expect(body.events.map((it: { event_id: string }) => byId.get(it.event_id)?.value)).toEqual(
    sent.map((_, n) => n),
  );
  for (let user = 0; user < 7; user += 1) {
    const values = events.filter((it) => it.userId === String(user)).map((it) => it.value ?? 0);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  }
});

test("a partly bad array is answered item by item, and its good events are produced", async () => {
  const { status, body } = await post([
    event({ value: 1 }),
    event({ event_type: "Bad Type", amount: -1 }),
    "no object",
    event({ value: 2 }),
  ]);
  expect(status).toBe(207);
  expect(body.events).toEqual([
    { status: 202, event_id: expect.stringMatching(UUID_V7) },
    {
      status: 400,
      code: "event.event_type",
      errors: [
        { path: "/event_type", message: expect.any(String) },
        { path: "/amount", message: expect.any(String) },
      ],
    },
    {
      status: 400,
      code: "event.not_object",
      errors: [{ path: "", message: "is not a JSON object" }],
    },
    { status: 202, event_id: expect.stringMatching(UUID_V7) },
  ]);
  expect((await produced()).map(({ value }) => value)).toEqual([1, 2]);
});

test("an array without a good event is refused whole, with the place of every fault", async () => {
  const { status, body } = await post([event({ value: "1" }), event({ user_id: null }), 7]);
  expect([status, body.code]).toEqual([400, "event.value"]);
  expect(body.errors.map((it: { path: string }) => it.path)).toEqual([
    "/0/value",
    "/1/user_id",
    "/2",
  ]);
  expect(await topic.taken()).toEqual([]);
});

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

const TEXT_RULE = "must be a text of at most 128 characters";
const RULES: Readonly<Record<string, string>> = {
  event_id: "must be a UUID",
  event_time: "must be an RFC 3339 time with an offset, as in 2026-01-31T10:15:00.123456Z",
  event_type: "must be 1 to 64 of a-z, 0-9, _ and . and begin with a letter",
  user_id: "must be a text of 1 to 128 characters or an integer",
  session_id: TEXT_RULE,
  value: "must be a finite number",
  amount: "must be 0 to 9999999999.99 with at most 2 decimals, as a number or a decimal text",
  duration: "must be a number of seconds, 0 or more",
  category: TEXT_RULE,
  product_id: TEXT_RULE,
  region: TEXT_RULE,
  data: "must be an object",
};
const TOO_MUCH = "must be at most 16 KiB of JSON, unknown fields included";
const TOO_DEEP = "must not nest deeper than 64 levels";
const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)]);

test.each<[string, Record<string, unknown>, string, string?]>([
  ["an id that is no UUID", { event_id: "7" }, "event_id"],
  ["an id that is a number", { event_id: 7 }, "event_id"],
  ["no time", { event_time: undefined }, "event_time", "is required"],
  ["a time of null", { event_time: null }, "event_time", "is required"],
  ["a time without an offset", { event_time: "2026-11-01T12:00:00" }, "event_time"],
  ["a time that is a number", { event_time: 1_700_000_000 }, "event_time"],
  ["a day that is not there", { event_time: "2026-02-30T12:00:00Z" }, "event_time"],
  ["no type", { event_type: undefined }, "event_type", "is required"],
  ["a type in capitals", { event_type: "Login" }, "event_type"],
  ["a type of 65 characters", { event_type: "a".repeat(65) }, "event_type"],
  ["no user", { user_id: undefined }, "user_id", "is required"],
  ["an empty user", { user_id: "" }, "user_id"],
  ["a user of 129 characters", { user_id: "u".repeat(129) }, "user_id"],
  ["a user that is a fraction", { user_id: 1.5 }, "user_id"],
  ["a user that is true", { user_id: true }, "user_id"],
  ["a session of 129 characters", { session_id: "s".repeat(129) }, "session_id"],
  ["a session that is a number", { session_id: 1 }, "session_id"],
  ["a value in quotes", { value: "1" }, "value"],
  ["an amount with three decimals", { amount: 1.234 }, "amount"],
  ["an amount of three decimals as text", { amount: "1.230" }, "amount"],
  ["an amount with an exponent", { amount: "1e3" }, "amount"],
  ["a negative amount", { amount: -0.01 }, "amount"],
  ["0.1 + 0.2", { amount: 0.1 + 0.2 }, "amount"],
  ["an amount over the most", { amount: 10_000_000_000 }, "amount"],
  ["a negative duration", { duration: -1 }, "duration"],
  ["a duration as text", { duration: "1" }, "duration"],
  ["a category of 129 characters", { category: "c".repeat(129) }, "category"],
  ["a product that is an array", { product_id: [] }, "product_id"],
  ["a region that is an object", { region: {} }, "region"],
  ["data that is an array", { data: [] }, "data"],
  ["data that nests too deep", { data: { a: nested(64) } }, "data", TOO_DEEP],
  ["17 KiB of data", { data: { text: "x".repeat(17 * 1024) } }, "data", TOO_MUCH],
  ["17 KiB of unknown fields", { notes: "x".repeat(17 * 1024) }, "data", TOO_MUCH],
])("refuses %s by the name and the rule of its field", async (_, fault, field, rule) => {
  const { status, body } = await post(event(fault));
  expect([status, body.code]).toEqual([400, `event.${field}`]);
  const message = rule ?? RULES[field];
  expect(body.errors).toEqual([{ path: `/${field}`, message }]);
  expect(body.detail).toBe(`the event is not as it must be: /${field} ${message}`);
  expect(await topic.taken()).toEqual([]);
});

test("refuses a number that no double can hold", async () => {
  const text = JSON.stringify(event({ value: 7, data: { n: 7 } }));
  for (const [from, field] of [
    ['"value":7', "value"],
    ['"n":7', "data"],
  ] as const) {
    const { status, body } = await post(text.replace(from, `${from.slice(0, -1)}1e999`));
    expect([status, body.code]).toEqual([400, `event.${field}`]);
  }
  expect(await topic.taken()).toEqual([]);
});

test.each<[string, Record<string, unknown>, string]>([
  ["ahead of the clock by 6 minutes", { event_time: inSeconds(360) }, "event.in_future"],
  ["ahead of the clock by hardly 5 minutes", { event_time: inSeconds(299) }, "event.in_future"],
  ["past the horizon", { event_time: inSeconds(-401 * 86_400) }, "event.too_old"],
  ["hardly within the horizon", { event_time: inSeconds(10 - 400 * 86_400) }, "event.too_old"],
  ["with a NUL character", { user_id: "a\u0000b" }, "event.text"],
  ["with a NUL character deep in its data", { data: { a: ["\u0000"] } }, "event.text"],
  ["with half a surrogate pair", { category: "\ud83d" }, "event.text"],
])("refuses an event %s", async (_, fault, code) => {
  const { status, body } = await post(event(fault));
  expect([status, body.code]).toEqual([400, code]);
  expect(await topic.taken()).toEqual([]);
});

test.each<[string, unknown, number, string]>([
  ["no JSON", "{", 400, "body.not_json"],
  ["bytes that are not UTF-8", Buffer.from([0x22, 0xff, 0x22]), 400, "body.not_json"],
  ["a text", '"event"', 400, "event.not_object"],
  ["null", "null", 400, "event.not_object"],
  ["an array in an array", [[]], 400, "event.not_object"],
  ["an empty array", [], 400, "events.none"],
  ["501 events", Array(501).fill({}), 400, "events.too_many"],
  ["over 1 MiB", JSON.stringify({ a: "x".repeat(1024 * 1024) }), 413, "body.too_large"],
  ["thousands of brackets", "[".repeat(5000), 400, "body.not_json"],
  ["a raw NUL between events", "[{}\u0000]", 400, "body.not_json"],
])("refuses a body of %s", async (_, body, status, code) => {
  const answer = await post(body);
  expect([answer.status, answer.body.code]).toEqual([status, code]);
  expect(answer.headers["content-type"]).toBe("application/problem+json");
  expect(await topic.taken()).toEqual([]);
});

test("a refusal of the whole event says so in a sentence, one in an array with its place", async () => {
  expect((await post("7")).body.detail).toBe("the event is not a JSON object");
  expect((await post(event({ unknown: "\0" }))).body.detail).toBe(
    "the event holds a NUL character or half a surrogate pair",
  );
  expect((await post([7, event()])).status).toBe(207);
  expect((await post([7])).body.detail).toBe(
    "no event of the array is as it must be: /0 is not a JSON object",
  );
  expect((await post([event({ user_id: "" })])).body.detail).toBe(
    "no event of the array is as it must be: /0/user_id must be a text of 1 to 128 characters or an integer",
  );
});

test("bytes that are no text, and nesting without end, cost an array that one event", async () => {
  const good = JSON.stringify(event());
  const deep = good.replace("{", `{"data":{"a":${"[".repeat(1_500)}${"]".repeat(1_500)}},`);
  const marked = JSON.stringify(event({ region: "<>" }));
  for (const bytes of [[0], [0xed, 0xa0, 0x80]]) {
    const [head = "", tail = ""] = `[${good},${marked},${deep},${good}]`.split("<>");
    const body = Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)]);
    const answer = await post(body);
    expect(answer.status).toBe(207);
    expect(answer.body.events.map((it: { code?: string }) => it.code)).toEqual([
      undefined,
      "event.text",
      "event.data",
      undefined,
    ]);
    expect((await produced()).length).toBe(2);
  }
});

test("an event near either limit of time is no dead letter once Kafka has stamped it", async () => {
  for (const seconds of [285, 70 - 400 * 86_400]) {
    expect((await post(event({ event_time: inSeconds(seconds) }))).status).toBe(202);
    expect((await produced()).length).toBe(1);
  }
});

test("takes a body of just under 1 MiB, also one that the gateway sent in base64", async () => {
  const padding = " ".repeat(1024 * 1024 - 300);
  const text = JSON.stringify(event()) + padding;
  expect((await post(text)).status).toBe(202);
  expect((await post(Buffer.from(text))).status).toBe(202);
  expect((await produced()).length).toBe(2);
});

test("refuses another content type, an encoded body, and parameters", async () => {
  const outcome = async (headers: Record<string, string>, target = TARGET) => {
    const { status, body } = await client.ask("POST", target, { body: event(), headers });
    return [status, body.code];
  };
  expect(await outcome({ "content-type": "text/plain" })).toEqual([415, "body.content_type"]);
  expect(await outcome({ "content-encoding": "gzip" })).toEqual([415, "body.content_type"]);
  expect(await outcome({}, `${TARGET}?sync=1`)).toEqual([400, "request.query"]);
  expect(await topic.taken()).toEqual([]);
});

test("takes no event without a token that may write events", async () => {
  const outcome = async (token: string | null) => {
    const { status, body } = await client.post(TARGET, event(), { token });
    return [status, body.code];
  };
  const unsigned = new UnsecuredJWT({ scope: "events:write" })
    .setIssuer(process.env.AUTH_ISSUER ?? "")
    .setAudience(process.env.AUTH_AUDIENCE ?? "")
    .setSubject("x")
    .setExpirationTime("1h")
    .encode();
  expect(await outcome(null)).toEqual([401, "token.missing"]);
  expect(await outcome(unsigned)).toEqual([401, "token.invalid"]);
  expect(await outcome(await client.expiredToken("events:write"))).toEqual([401, "token.expired"]);
  expect(await outcome(await client.token("reports:read", "admin"))).toEqual([403, "token.scope"]);
  expect(await topic.taken()).toEqual([]);
});
