import { murmur2, partitionOf } from "@headrace/kafka";
import { murmur2 as othersMurmur2 } from "@platformatic/kafka";
import fc from "fast-check";
import { expect, test } from "vitest";

// From Apache Kafka's own UtilsTest.
test.each([
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
])("the hash of %s is Java's", (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash);
});

test("the hash agrees with an implementation over big integers", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      expect(murmur2(bytes)).toBe(othersMurmur2(Buffer.from(bytes)));
    }),
  );
});

test("a negative hash loses its sign bit, as Java's toPositive does", () => {
  // -973932308 & 0x7fffffff = 1173551340
  expect(partitionOf(Buffer.from("21"), 1000)).toBe(340);
  expect(partitionOf(Buffer.from("abc"), 1000)).toBe(107);
});
