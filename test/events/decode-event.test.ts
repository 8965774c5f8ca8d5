import {
  decodeEvent,
  derivedEventId,
  type Event,
  eventJson,
  isRefusal,
  type Refusal,
} from "@headrace/events";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  anyRecord,
  event,
  ID,
  json,
  jsonWith,
  OPTIONS,
  POSITION,
  RECORD_MILLIS,
  withBytes,
} from "./records.ts";

const decode = (value: string | Buffer | null): Event | Refusal =>
  decodeEvent(typeof value === "string" ? Buffer.from(value) : value, POSITION, OPTIONS);

function accepted(value: string): Event {
  const outcome = decode(value);
  if (isRefusal(outcome))
    throw new Error(`${value} is refused: ${outcome.code} ${outcome.message}`);
  return outcome;
}

function codeOf(value: string | Buffer | null): string {
  const outcome = decode(value);
  return isRefusal(outcome) ? outcome.code : "accepted";
}

test("every field of an event is read and normalised", () => {
  const text = json({
    event_id: ID.toUpperCase(),
    event_time: "2026-01-31T12:14:59.1234567+02:00",
    user_id: 42,
    session_id: "s",
    value: -1.25,
    amount: 19.9,
    duration: 0.5,
    category: "books",
    product_id: "prd_1",
    region: "eu",
    data: { page: "/a" },
  });
  expect(decode(text)).toStrictEqual({
    id: ID,
    timeMicros: (RECORD_MILLIS - 1000) * 1000 + 123_456,
    timeText: "2026-01-31T10:14:59.123456Z",
    type: "page_view",
    userId: "42",
    sessionId: "s",
    value: -1.25,
    amountCents: 1990,
    durationSeconds: 0.5,
    category: "books",
    productId: "prd_1",
    region: "eu",
    data: '{"page":"/a"}',
  });
});

test("any event survives being written and read", () => {
  const law = fc.property(event, (sent) => {
    expect(decode(eventJson(sent))).toStrictEqual(sent);
  });
  fc.assert(law);
});

test("no bytes make the decoder throw, and a refusal names nothing but stable words", () => {
  const law = fc.property(fc.oneof(anyRecord, fc.uint8Array().map(Buffer.from)), (bytes) => {
    const outcome = decode(bytes);
    if (!isRefusal(outcome)) return;
    expect(outcome.code).toMatch(/^event\.[a-z_]+$/);
    expect(outcome.path).toMatch(/^(\/[a-z_]+)?$/);
    expect(outcome.message).toMatch(/^[\x20-\x7e]+$/);
  });
  fc.assert(law, { numRuns: 1_000 });
});

describe("what is no event", () => {
  test("a tombstone is told apart from an empty value", () => {
    expect(codeOf(null)).toBe("event.tombstone");
    expect(codeOf("")).toBe("event.not_json");
  });

  test.each([
    "nope",
    "{",
    '{"a":1,}',
    "{'a':1}",
    `${json()}x`,
    `\uFEFF${json()}`,
    "\0",
    '{"a":NaN}',
  ])("%j is not JSON", (text) => expect(codeOf(text)).toBe("event.not_json"));

  test.each([
    "01",
    "-01",
    "00",
    "-",
    "+1",
    ".5",
    "1.",
    "1.e1",
    "1e",
    "1e+",
    "0x1",
    "1_0",
    "1 0",
    "tru",
    "nulls",
    "'a'",
    '"\n"',
    '"\\x"',
    '"\\u12"',
    '"a',
    "[1,]",
    "{,}",
    "",
    "\u00a01",
  ])("%j is not JSON, wherever a value stands", (text) => {
    const data = [`{"a":${text}}`, `{"a":[1,${text}]}`];
    for (const field of ["user_id", "value", "amount", "category", "unknown"])
      expect(codeOf(jsonWith(field, text))).toBe("event.not_json");
    for (const value of data) expect(codeOf(jsonWith("data", value))).toBe("event.not_json");
  });

  test("bytes that are not UTF-8 are not JSON, wherever they stand", () => {
    const [head = "", tail = ""] = json({ region: "<>" }).split("<>");
    for (const bytes of [
      [0xff],
      [0xc3],
      [0xed],
      [0xed, 0xa0],
      [0xed, 0xa0, 0x41],
      [0xc0, 0x80],
      [0xf5, 0x80, 0x80, 0x80],
    ]) {
      const value = Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)]);
      expect(codeOf(value)).toBe("event.not_json");
    }
  });

  test.each(["[]", `[${json()}]`, "null", "1", '"text"', "true"])("%s is no object", (text) =>
    expect(codeOf(text)).toBe("event.not_object"),
  );

  test("brackets in brackets by the hundred thousand are refused, not recursed into", () => {
    expect(codeOf("[".repeat(100_000) + "]".repeat(100_000))).toBe("event.not_object");
    expect(codeOf(jsonWith("data", `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`))).toBe(
      "event.data",
    );
  });
});

describe("text that PostgreSQL cannot hold", () => {
  test.each([
    "\\u0000",
    "\\ud800",
    "\\udfff",
    "\\ude00\\ud83d",
    "\\ud83dx",
    "\\ud83dx\\ude00",
    "\\ud83d\\u0041",
    "\\uD83D\\uD83D\\uDE00",
  ])("%s is refused in fields, in data, in unknown fields and in names", (bad) => {
    expect(codeOf(jsonWith("category", `"a${bad}b"`))).toBe("event.text");
    expect(codeOf(jsonWith("user_id", `"${bad}"`))).toBe("event.text");
    expect(codeOf(jsonWith("data", `{"deep":[{"a":"${bad}"}]}`))).toBe("event.text");
    expect(codeOf(jsonWith("data", `{"a":"${bad}","a":"overwritten"}`))).toBe("event.text");
    expect(codeOf(jsonWith("data", `{"${bad}":1}`))).toBe("event.text");
    expect(codeOf(jsonWith("extra", `"${bad}"`))).toBe("event.text");
    expect(codeOf(jsonWith(bad, "1"))).toBe("event.text");
  });

  const raw: readonly [string, readonly number[]][] = [
    ["a NUL", [0]],
    ["a first half", [0xed, 0xa0, 0x80]],
    ["a second half", [0xed, 0xbf, 0xbf]],
    ["two halves in three bytes each", [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
    ["a NUL behind an escaped backslash", [...Buffer.from("\\\\"), 0]],
  ];
  test.each(raw)("%s as bytes in a string is refused as text, in its place", (_, bytes) => {
    const outcome = (text: string) => decode(withBytes(text, bytes));
    const region = { code: "event.text", path: "/region" };
    expect(outcome(json({ region: "a <> 😀" }))).toMatchObject(region);
    expect(outcome(json({ region: "<>", category: "x".repeat(200) }))).toMatchObject(region);
    expect(outcome(json({ data: { a: "<>" } }))).toMatchObject({
      code: "event.text",
      path: "/data",
    });
    expect(outcome(json({ "a<>": 1 }))).toMatchObject({ code: "event.text", path: "" });
    expect(outcome(`["<>"]`)).toMatchObject({ code: "event.not_object" });
  });

  test("such bytes outside of strings, behind a backslash or beside other damage are not JSON", () => {
    for (const bytes of [[0], [0xed, 0xa0, 0x80]]) {
      const region = json({ region: "<>" });
      const texts = [`<>${json()}`, json().replace(":", "<>:"), `${region}x`, region.slice(0, -2)];
      texts.push(region.replace("<>", "\\<>"), region.replace("<>", "\\u00<>00"));
      for (const text of texts) expect(codeOf(withBytes(text, bytes))).toBe("event.not_json");
      expect(codeOf(withBytes(region, [...bytes, 0xff]))).toBe("event.not_json");
    }
  });

  test("the fault names the field, where it is one of the event's", () => {
    expect(decode(jsonWith("region", '"\\u0000"'))).toMatchObject({ path: "/region" });
    expect(decode(jsonWith("other", '"\\u0000"'))).toMatchObject({ path: "" });
  });

  test("whole pairs, escaped backslashes and other control characters are kept", () => {
    expect(accepted(jsonWith("category", '"\\ud83d\\ude00"')).category).toBe("😀");
    expect(accepted(jsonWith("category", '"\\\\u0000"')).category).toBe("\\u0000");
    expect(accepted(jsonWith("category", '"\\\\\\\\ud800"')).category).toBe("\\\\ud800");
    expect(accepted(jsonWith("category", '"\\u0001\\t\uFFFD"')).category).toBe("\u0001\t\uFFFD");
    expect(accepted(json({ data: { "😀": "😀\u0001" } })).data).toBe('{"😀":"😀\\u0001"}');
  });
});

describe("event_id", () => {
  test("is any UUID, in lower case", () => {
    const ids = [
      ID,
      "00000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ];
    for (const id of ids) {
      expect(accepted(json({ event_id: id })).id).toBe(id);
      expect(accepted(json({ event_id: id.toUpperCase() })).id).toBe(id);
    }
  });

  test.each([undefined, null])("is made from the record's position when it is %s", (id) => {
    expect(accepted(json({ event_id: id })).id).toBe(derivedEventId(POSITION));
  });

  test("of a replayed dead letter is made from its first position", () => {
    const firstPosition = { topic: "other", partition: 0, offset: 7, timestampMillis: 99 };
    const options = { ...OPTIONS, firstPosition };
    for (const text of [
      json({ event_id: null }),
      jsonWith("value", "1e3").replace(`"${ID}"`, "null"),
    ])
      expect(decodeEvent(Buffer.from(text), POSITION, options)).toMatchObject({
        id: derivedEventId(firstPosition),
      });
    expect(decodeEvent(Buffer.from(json()), POSITION, options)).toMatchObject({ id: ID });
  });

  test.each([
    "",
    "x",
    ID.slice(1),
    `${ID}0`,
    `{${ID}}`,
    ID.replaceAll("-", ""),
    `urn:uuid:${ID}`,
    ID.replace("7", "g"),
    ` ${ID}`,
    7,
    true,
    [ID],
    {},
  ])("is not %j", (id) => expect(codeOf(json({ event_id: id }))).toBe("event.event_id"));
});

describe("event_time", () => {
  const at = (millis: number, digits = "") =>
    codeOf(json({ event_time: new Date(millis).toISOString().replace("Z", `${digits}Z`) }));

  test("may be five minutes ahead of its record and not a microsecond more", () => {
    expect(at(RECORD_MILLIS + 300_000)).toBe("accepted");
    expect(at(RECORD_MILLIS + 300_000, "0009")).toBe("accepted");
    expect(at(RECORD_MILLIS + 300_000, "001")).toBe("event.in_future");
  });

  test("may be the horizon's days older than its record and not a microsecond more", () => {
    const horizon = RECORD_MILLIS - 400 * 86_400_000;
    expect(at(horizon)).toBe("accepted");
    expect(at(horizon - 1, "999")).toBe("event.too_old");
    const wide = decodeEvent(Buffer.from(json({ event_time: "2016-03-01T00:00:00Z" })), POSITION, {
      horizonDays: 3650,
    });
    expect(isRefusal(wide)).toBe(false);
  });

  test("at either end of the calendar is too old or in the future, also for a made-up record timestamp", () => {
    expect(codeOf(json({ event_time: "0001-01-01T00:00:00Z" }))).toBe("event.too_old");
    expect(codeOf(json({ event_time: "9999-12-31T23:59:59Z" }))).toBe("event.in_future");
    const far = { ...POSITION, timestampMillis: Date.UTC(9999, 11, 31, 23, 59, 59) };
    const text = Buffer.from(json({ event_time: "9999-12-31T23:59:59Z" }));
    expect(decodeEvent(text, far, OPTIONS)).toMatchObject({ code: "event.in_future" });
    const first = { ...POSITION, timestampMillis: -62_135_596_800_000 };
    const old = Buffer.from(json({ event_time: "0001-01-01T00:00:00Z" }));
    expect(decodeEvent(old, first, OPTIONS)).toMatchObject({ code: "event.too_old" });
  });

  test("keeps nine digits of a second to the microsecond", () => {
    expect(accepted(json({ event_time: "2026-01-31T10:14:59.123456789Z" }))).toMatchObject({
      timeText: "2026-01-31T10:14:59.123456Z",
      timeMicros: (RECORD_MILLIS - 1000) * 1000 + 123_456,
    });
  });

  test.each([
    undefined,
    null,
    "",
    "2026-01-31T10:14:59",
    "2026-01-31 10:14:59Z",
    "2026-01-31T10:14:60Z",
    "2026-02-29T10:14:59Z",
    "yesterday",
    1769854500,
    {},
    true,
  ])("is not %j", (time) => expect(codeOf(json({ event_time: time }))).toBe("event.event_time"));
});

describe("event_type", () => {
  test.each(["a", "page_view", "v2.cart_add", "x".repeat(64)])("may be %s", (type) =>
    expect(accepted(json({ event_type: type })).type).toBe(type),
  );

  test.each([
    undefined,
    null,
    "",
    "Page",
    "1a",
    "_a",
    ".a",
    "a-b",
    "a b",
    "é",
    "a\n",
    "x".repeat(65),
    1,
    true,
    [],
  ])("is not %j", (type) => expect(codeOf(json({ event_type: type }))).toBe("event.event_type"));
});

describe("user_id", () => {
  test.each(["u", "x".repeat(128), "😀".repeat(64), "Jürgen", " ", "a\tb"])("may be %j", (user) =>
    expect(accepted(json({ user_id: user })).userId).toBe(user),
  );

  test.each([
    ["0", "0"],
    ["-0", "0"],
    ["7", "7"],
    ["-7", "-7"],
    ["7.0", "7"],
    ["7e3", "7000"],
    ["7.25E+2", "725"],
    ["700e-2", "7"],
    ["0e99", "0"],
    ["9007199254740993", "9007199254740993"],
    ["-123456789012345678901234567890", "-123456789012345678901234567890"],
    ["1e21", "1000000000000000000000"],
    ["9".repeat(128), "9".repeat(128)],
    ["1e127", `1${"0".repeat(127)}`],
  ])("the integer %s is kept as its decimal text", (number, text) => {
    expect(accepted(jsonWith("user_id", number)).userId).toBe(text);
  });

  test.each([
    "1.5",
    "1e-1",
    "5.0000000000000000000000001",
    "9007199254740991.4",
    "9".repeat(129),
    "1e128",
    "1e400",
    "1e999999999999",
    "7e-1",
    `1.${"0".repeat(40_000)}`,
  ])("the number %s is none", (number) =>
    expect(codeOf(jsonWith("user_id", number))).toBe("event.user_id"),
  );

  test("the last of two counts, as it does for every field", () => {
    expect(accepted(`${json().slice(0, -1)},"user_id":12345678901234567890}`).userId).toBe(
      "12345678901234567890",
    );
    expect(accepted(`${json({ user_id: 5.5 }).slice(0, -1)},"user\\u005fid":"b"}`).userId).toBe(
      "b",
    );
  });

  test.each([undefined, null, "", "x".repeat(129), "😀".repeat(65), true, [], {}])(
    "is not %j",
    (user) => expect(codeOf(json({ user_id: user }))).toBe("event.user_id"),
  );
});

describe.each(["session_id", "category", "product_id", "region"])("%s", (field) => {
  const read = (fields: Record<string, unknown>) => {
    const { sessionId, category, productId, region } = accepted(json(fields));
    return { session_id: sessionId, category, product_id: productId, region }[field];
  };

  test("is a text of at most 128 UTF-16 units", () => {
    for (const text of ["", "a", "x".repeat(128), "😀".repeat(64), 'a "b" \\ /'])
      expect(read({ [field]: text })).toBe(text);
    for (const wrong of ["x".repeat(129), "😀".repeat(65), 1, true, [], {}])
      expect(codeOf(json({ [field]: wrong }))).toBe(`event.${field}`);
  });

  test("may be left out, and null is left out", () => {
    expect(read({})).toBe(null);
    expect(read({ [field]: null })).toBe(null);
  });
});

describe.each(["value", "duration"])("%s", (field) => {
  const read = (text: string) => {
    const { value, durationSeconds } = accepted(jsonWith(field, text));
    return field === "value" ? value : durationSeconds;
  };

  test.each([
    "0",
    "1",
    "0.1",
    "37.454011884736254",
    "0.30000000000000004",
    "1e3",
    "1e-320",
    "1.7976931348623157e308",
    "123456789012345678901234567890",
    "0.1234567890123456789",
    "1e-400",
  ])("reads %s as the nearest double", (text) => expect(read(text)).toBe(Number(text)));

  test("is never -0, and null is left out", () => {
    expect(read("-0")).toBe(0);
    expect(read("-0.0")).toBe(0);
    expect(read("null")).toBe(null);
  });

  test.each(["1e400", "-1e400", `1${"0".repeat(400)}`, '"1"', '""', "true", "[]", "{}"])(
    "is not %s",
    (text) => expect(codeOf(jsonWith(field, text))).toBe(`event.${field}`),
  );
});

test("a value may be negative, a duration may not", () => {
  expect(accepted(json({ value: -2.5 })).value).toBe(-2.5);
  expect(codeOf(json({ duration: -2.5 }))).toBe("event.duration");
});

describe("amount", () => {
  test.each([
    ["0", 0],
    ["-0", 0],
    ["12", 1200],
    ["12.5", 1250],
    ["12.50", 1250],
    ["12.500", 1250],
    ["0.07", 7],
    ["1e2", 10_000],
    ["1.5e1", 1500],
    ["100e-2", 100],
    ["9999999999.99", 999_999_999_999],
    ['"0"', 0],
    ['"12"', 1200],
    ['"12.5"', 1250],
    ['"012.05"', 1205],
    ['"9999999999.99"', 999_999_999_999],
  ])("reads %s", (text, cents) => {
    expect(accepted(jsonWith("amount", text)).amountCents).toBe(cents);
  });

  test("of a number is its shortest text, in cents exactly, wherever two decimals say it", () => {
    const law = fc.property(fc.integer({ min: 0, max: 999_999_999_999 }), (cents) => {
      expect(accepted(json({ amount: cents / 100 })).amountCents).toBe(cents);
    });
    fc.assert(law);
  });

  test.each([
    "-1",
    "-0.01",
    "0.001",
    "0.1234",
    "10000000000",
    "9999999999.999",
    "1e-3",
    "1e10",
    "1e21",
    "1e400",
    '"-1"',
    '"-0"',
    '"+1"',
    '"0.001"',
    '"1e2"',
    '""',
    '" 1"',
    '"1,5"',
    '".5"',
    '"5."',
    '"10000000000"',
    '"NaN"',
    '"0x10"',
    "true",
    "[]",
    "{}",
  ])("is not %s", (text) => expect(codeOf(jsonWith("amount", text))).toBe("event.amount"));

  test("is not the sum of 0.1 and 0.2, which no two decimals say", () => {
    expect(codeOf(json({ amount: 0.1 + 0.2 }))).toBe("event.amount");
  });
});

test("the first faulty field in the schema's order gives the code", () => {
  const all = {
    event_id: 1,
    event_time: 1,
    event_type: 1,
    user_id: [],
    value: "",
    amount: "",
    data: 1,
  };
  const order = ["event_id", "event_time", "event_type", "user_id", "value", "amount", "data"];
  const good: Record<string, unknown> = { event_id: ID, event_type: "a", user_id: "u" };
  good.event_time = "2026-01-31T10:14:59Z";
  const fields: Record<string, unknown> = { ...all };
  for (const field of order) {
    const backwards = Object.fromEntries(Object.entries(fields).reverse());
    expect(codeOf(JSON.stringify(backwards))).toBe(`event.${field}`);
    fields[field] = good[field];
  }
  expect(codeOf(JSON.stringify(fields))).toBe("accepted");
});
