import { eventJson, isRefusal } from "@headrace/events";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { accepted, codeOf, decode } from "./decode.ts";
import { anyRecord, event, ID, json, jsonWith, RECORD_MILLIS, withBytes } from "./records.ts";

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
