import {
  checkEvent,
  decodeEvent,
  derivedEventId,
  type EventCheck,
  eventJson,
  type Refusal,
  splitEvents,
} from "@headrace/events";
import fc from "fast-check";
import { expect, test } from "vitest";
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

const MADE = "0198c5a1-0000-7000-8000-000000000001";
const at = { timestampMillis: RECORD_MILLIS };
const options = { horizonDays: 400, makeId: () => MADE };

const check = (input: unknown): EventCheck => checkEvent(input, at, options);

const decode = (text: string) => decodeEvent(Buffer.from(text), POSITION, OPTIONS);

function faultsOf(input: unknown): readonly Refusal[] {
  const checked = check(input);
  return checked.ok ? [] : checked.faults;
}

function items(body: string | Buffer): EventCheck[] {
  const batch = splitEvents(Buffer.from(body));
  if ("code" in batch) return [{ ok: false, faults: [batch] }];
  return batch.items.map(check);
}

test("an event is checked as its record will be, and what is produced is read as the same event", () => {
  const law = fc.property(anyRecord, (bytes) => {
    const outcome = decodeEvent(bytes, POSITION, OPTIONS);
    const [checked] = items(bytes);
    if (checked === undefined || !checked.ok) {
      expect(outcome).toEqual(checked?.faults[0]);
    } else {
      expect(decode(checked.json)).toStrictEqual(checked.event);
      const id = checked.event.id === MADE ? derivedEventId(POSITION) : checked.event.id;
      expect(outcome).toStrictEqual({ ...checked.event, id });
    }
  });
  fc.assert(law, { numRuns: 1_000 });
});

test("an event keeps its id, and gets one where it brings none", () => {
  expect(check(JSON.parse(json()))).toMatchObject({ ok: true, event: { id: ID } });
  const without = check(JSON.parse(json({ event_id: null })));
  expect(without).toMatchObject({ ok: true, event: { id: MADE } });
  expect(without.ok && JSON.parse(without.json)).toMatchObject({ event_id: MADE });
});

test("what is produced is normalised: UTC, cents, text ids, unknown fields under data", () => {
  const input = {
    event_time: "2026-01-31T12:14:59.1234567+02:00",
    event_type: "purchase",
    user_id: 7,
    amount: 12.5,
    value: null,
    page: "/a",
  };
  const checked = check(input);
  expect(checked.ok && checked.json).toBe(
    `{"event_id":"${MADE}","event_time":"2026-01-31T10:14:59.123456Z","event_type":"purchase",` +
      `"user_id":"7","amount":"12.50","data":{"page":"/a"}}`,
  );
});

test("any event is written so that it passes the check unchanged", () => {
  const law = fc.property(event, (sent) => {
    const [checked] = items(eventJson(sent));
    expect(checked).toStrictEqual({ ok: true, event: sent, json: eventJson(sent) });
  });
  fc.assert(law);
});

test("all faults are named, each with its code, its path and what the rule is", () => {
  const faults = faultsOf({ event_id: "x", user_id: "", amount: 0.001, value: "1", data: [] });
  expect(faults.map(({ code, path }) => [code, path])).toEqual([
    ["event.event_id", "/event_id"],
    ["event.event_time", "/event_time"],
    ["event.event_type", "/event_type"],
    ["event.user_id", "/user_id"],
    ["event.value", "/value"],
    ["event.amount", "/amount"],
    ["event.data", "/data"],
  ]);
  const messages = faults.map((fault) => fault.message);
  expect(messages).toContain("is required");
  expect(messages).toContain("must be a UUID");
});

test("a time out of bounds is named beside the other faults", () => {
  const input = { event_time: "2026-01-31T11:15:00Z", event_type: "A", user_id: "u" };
  expect(faultsOf(input).map((fault) => fault.code)).toEqual([
    "event.event_type",
    "event.in_future",
  ]);
  const old = { ...input, event_type: "a", event_time: "2020-01-31T11:15:00Z" };
  expect(faultsOf(old)).toMatchObject([{ code: "event.too_old", path: "/event_time" }]);
});

test("one field is named once, whatever is wrong with it", () => {
  const faults = faultsOf({ ...JSON.parse(json()), data: [], unknown: "x".repeat(17_000) });
  expect(faults).toEqual([{ code: "event.data", path: "/data", message: "must be an object" }]);
});

test("text that cannot be stored is found in parsed values too", () => {
  expect(faultsOf(JSON.parse(json({ region: "a\0" })))).toMatchObject([{ code: "event.text" }]);
  expect(faultsOf(JSON.parse(json({ data: { "\ud800": 1 } })))).toMatchObject([
    { code: "event.text" },
  ]);
});

test.each([undefined, null, 1, "x", [], () => 0, Symbol("x")])("%s is no object", (input) => {
  expect(faultsOf(input)).toMatchObject([{ code: "event.not_object" }]);
});

test("what JSON cannot say is refused", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  expect(faultsOf(cycle)).toMatchObject([{ code: "event.not_json" }]);
  expect(faultsOf({ user_id: 1n })).toMatchObject([{ code: "event.not_json" }]);
});

test("a body holds one event or an array of them, each with every digit of its numbers", () => {
  const big = jsonWith("user_id", "12345678901234567890");
  const users = (body: string) => items(body).map((item) => item.ok && item.event.userId);
  expect(users(big)).toEqual(["12345678901234567890"]);
  expect(users(` [ ${big} , ${json({ user_id: "b" })} ] `)).toEqual(["12345678901234567890", "b"]);
  expect(splitEvents(Buffer.from(big))).toMatchObject({ isArray: false });
  expect(splitEvents(Buffer.from("[ ]"))).toEqual({ isArray: true, items: [] });
});

test("a bad item of an array leaves its neighbours alone", () => {
  const verdicts = items(`[${json()},null,[1,{"a":"]"}],"x",{"user_id":1},${json()}]`);
  expect(verdicts.map((verdict) => verdict.ok)).toEqual([true, false, false, false, false, true]);
});

test("bytes that are no text, and nesting without end, are the fault of their own item", () => {
  const deep = `{"a":${"[".repeat(5_000)}${"]".repeat(5_000)}}`;
  const brackets = "[".repeat(2_000) + "]".repeat(2_000);
  const all = [json(), json({ region: "<>" }), jsonWith("data", deep), brackets, json()];
  for (const bytes of [[0], [0xed, 0xa0, 0x80]]) {
    const codes = items(withBytes(`[${all.join()}]`, bytes)).map((item) =>
      item.ok ? "" : item.faults[0].code,
    );
    expect(codes).toEqual(["", "event.text", "event.data", "event.not_object", ""]);
  }
});

test("an event near the limits of time is refused where its record may come to lie beyond them", () => {
  const margins = { oldMillis: 60_000, aheadMillis: 10_000 };
  const outcome = (millis: number): string => {
    const event_time = new Date(RECORD_MILLIS + millis).toISOString();
    const checked = checkEvent(JSON.parse(json({ event_time })), at, { ...options, margins });
    return checked.ok ? "ok" : `${checked.faults[0].code} ${checked.faults[0].message}`;
  };
  const horizonMillis = 400 * 86_400_000;
  expect(outcome(60_000 - horizonMillis)).toBe("ok");
  expect(outcome(59_999 - horizonMillis)).toBe(
    "event.too_old is more than 400 days less 60 seconds before its record",
  );
  expect(outcome(290_000)).toBe("ok");
  expect(outcome(290_001)).toBe(
    "event.in_future is more than 5 minutes less 10 seconds ahead of its record",
  );
});

test("a body that is not JSON in UTF-8 is refused whole", () => {
  const refused = { code: "event.not_json" };
  expect(splitEvents(Buffer.from("[1,"))).toMatchObject(refused);
  expect(splitEvents(Buffer.from(""))).toMatchObject(refused);
  expect(splitEvents(Buffer.from([0x22, 0xff, 0x22]))).toMatchObject(refused);
});
