import { deadLetterId, derivedEventId, type Position } from "@headrace/events";
import fc from "fast-check";
import { expect, test } from "vitest";
import { murmur128 } from "../../packages/events/src/murmur.ts";

const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const position: fc.Arbitrary<Position> = fc.record({
  topic: fc.string({ minLength: 1, maxLength: 249 }),
  partition: fc.nat(),
  offset: fc.maxSafeNat(),
  timestampMillis: fc.maxSafeInteger(),
});
const events = { topic: "events", partition: 3, offset: 42, timestampMillis: 1_769_854_500_000 };
const bytes = (text: string) => Buffer.from(text);

test("the ids that stored events and dead letters were given stay what they are", () => {
  expect(derivedEventId(events)).toBe("019c138c-7ca0-81a5-ab07-51d232279e5a");
  expect(deadLetterId(events, bytes("not json"))).toBe("019c138c-7ca0-8f2e-aa7e-b4365e05e955");
  expect(deadLetterId(events, null)).toBe("019c138c-7ca0-8160-9273-ac66dc6445e7");
});

test("an id is a UUID of version 8 that begins with its record's milliseconds", () => {
  const law = fc.property(position, fc.option(fc.uint8Array()), (at, value) => {
    const ids = [derivedEventId(at), deadLetterId(at, value)];
    const millis = BigInt.asUintN(48, BigInt(at.timestampMillis)).toString(16).padStart(12, "0");
    for (const id of ids) {
      expect(id).toMatch(UUID_V8);
      expect(id.replace("-", "").slice(0, 12)).toBe(millis);
    }
  });
  fc.assert(law);
});

test("whatever of its position differs, an id differs", () => {
  const ids = [
    events,
    { ...events, topic: "event" },
    { ...events, topic: "eventsé" },
    { ...events, partition: 4 },
    { ...events, offset: 43 },
    { ...events, offset: 42 + 2 ** 32 },
    { ...events, timestampMillis: events.timestampMillis + 1 },
    { ...events, timestampMillis: events.timestampMillis + 2 ** 48 },
  ].flatMap((at) => [derivedEventId(at), deadLetterId(at, null), deadLetterId(at, bytes(""))]);
  expect(new Set(ids).size).toBe(ids.length);
});

test("neighbours never share an id, also in one millisecond", () => {
  const ids = new Set<string>();
  for (let partition = 0; partition < 16; partition++)
    for (let offset = 0; offset < 4_000; offset++)
      ids.add(derivedEventId({ ...events, partition, offset }));
  expect(ids.size).toBe(64_000);
});

test("dead letters of one position are told apart by their bytes, a tombstone from an empty value", () => {
  const values = [null, bytes(""), bytes("\0"), bytes("a"), bytes("b"), Buffer.alloc(1_000_000)];
  const ids = values.map((value) => deadLetterId(events, value));
  expect(new Set(ids).size).toBe(ids.length);
  expect(deadLetterId(events, bytes("a"))).toBe(ids[3]);
});

// Cross-checked with the npm package murmurhash3js-revisited 3.0.0.
test.each([
  ["", "00000000000000000000000000000000"],
  ["The quick brown fox jumps over the lazy dog", "2f1583c3ecee2c675d7bf66ce5e91d2c"],
  ["I will not buy this record, it is scratched.", "a0a9683b25ac5e40d9af2895890dddf5"],
  ["0123456789abcdef", "fb7d440936aed30a48ad1d9b572b3bfd"],
])("the hash of %j is MurmurHash3's", (text, expected) => {
  const words = murmur128(bytes(text)).map((word) => word.toString(16).padStart(8, "0"));
  expect(words.join("")).toBe(expected);
});
