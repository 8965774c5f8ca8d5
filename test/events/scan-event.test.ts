import { isRefusal } from "@headrace/events";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeThoroughly } from "../../packages/events/src/decode-event.ts";
import { scanEvent } from "../../packages/events/src/scan-event.ts";
import { anyRecord, ID, json, jsonWith, OPTIONS, POSITION } from "./records.ts";

test("the quick way answers as the thorough way does, or not at all", () => {
  const seen = { quick: 0, thorough: 0, refused: 0 };
  const law = fc.property(anyRecord, (bytes) => {
    const expected = decodeThoroughly(bytes, POSITION, OPTIONS);
    const quick = scanEvent(bytes, POSITION, OPTIONS);
    if (quick !== undefined) expect(quick).toStrictEqual(expected);
    seen[quick !== undefined ? "quick" : isRefusal(expected) ? "refused" : "thorough"]++;
  });
  fc.assert(law, { numRuns: 4_000 });
  // The law says little unless each way is taken often.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(400);
});

const full = {
  session_id: "s-1",
  value: 37.454011884736254,
  amount: 12.5,
  duration: 3,
  category: "Bücher",
  product_id: "prd_00000001",
  region: "eu-central-1",
};
const everyday: readonly (readonly [string, string])[] = [
  ["every field", json({ ...full, data: { page: "/a?b=c", n: [1, true, null, { x: -1.5 }] } })],
  ["no id", json({ event_id: undefined })],
  ["an id in upper case", json({ event_id: ID.toUpperCase() })],
  ["white space", JSON.stringify(JSON.parse(json({ ...full, data: { a: 1 } })), null, 2)],
  ["nulls", json({ session_id: null, value: null, amount: null, data: null })],
  ["an integer as user id", json({ user_id: 12345 })],
  ["a user id past 2^53", jsonWith("user_id", "123456789012345678901234567890")],
  ["amount as text", json({ amount: "12.50" })],
  ["escapes", jsonWith("category", '"\\u0411\\u0443\\n\\"x\\""')],
  ["escapes in data", jsonWith("data", '{"\\u0411":"a \\"b\\" \\u00e9"}')],
  ["unknown fields", json({ page: "/a", n: 1, __proto__x: {} })],
  ["an offset in time", json({ event_time: "2026-01-31T12:14:59.123456+02:00" })],
  ["another order", `{"user_id":"u","event_type":"a","event_time":"2026-01-31T10:14:59Z"}`],
];

test.each(everyday)("the quick way takes everyday records: %s", (_name, text) => {
  const bytes = Buffer.from(text);
  const quick = scanEvent(bytes, POSITION, OPTIONS);
  expect(quick).toBeDefined();
  expect(quick).toStrictEqual(decodeThoroughly(bytes, POSITION, OPTIONS));
});
