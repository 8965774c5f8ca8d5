/** An event's fields one by one: what each may be, and what it is read as. */
import { decodeEvent, derivedEventId, isRefusal } from "@headrace/events";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { accepted, codeOf } from "./decode.ts";
import { ID, json, jsonWith, OPTIONS, POSITION, RECORD_MILLIS } from "./records.ts";

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
