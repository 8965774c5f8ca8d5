import { hashUserId } from "@headrace/windows";
import { expect, test } from "vitest";

const padded = (i: number): string => `user_${String(i).padStart(6, "0")}`;
const decimal = (i: number): string => String(i);
const uuid = (i: number): string =>
  `0192f3a4-7b1c-7${String(i % 1000).padStart(3, "0")}-8a00-${i.toString(16).padStart(12, "0")}`;
const families = [
  ["padded", padded],
  ["decimal", decimal],
  ["UUID", uuid],
] as const;

test.each([
  ["", 0],
  ["a", 113757356924393],
  ["ab", 1339167220294742],
  ["abc", 1525516354199275],
  ["user_000001", 8133936136814907],
  ["user_000002", 175930475956697],
  ["12345678", 290237756223583],
  ["123456789012345", 7709287631621633],
  ["1234567890123456", 4421243024406996],
  ["1234567890123456789", 8688314036622541],
  ["Zoë", 2223787957171983],
  ["用户", 3511311653173325],
  ["👟👟", 4815786543484767],
  ["x".repeat(128), 8245929872506211],
  ["The quick brown fox jumps over the lazy dog", 765083206677150],
])("the hash of %j is that of the reference code, for ever", (id, hash) => {
  expect(hashUserId(id)).toBe(hash);
});

test.each(families)("a million %s ids have a million hashes of at most 53 bits", (_name, id) => {
  const hashes = Float64Array.from({ length: 1_000_000 }, (_, i) => hashUserId(id(i))).sort();
  let distinct = 1;
  for (let i = 1; i < hashes.length; i++) if (hashes[i] !== hashes[i - 1]) distinct++;
  expect(distinct).toBe(1_000_000);
  expect(hashes.every((hash) => Number.isSafeInteger(hash) && hash >= 0)).toBe(true);
  expect(hashes.at(-1)).toBeGreaterThan(2 ** 53 * 0.9999);
});

test.each(families)("%s ids fall evenly into the buckets of any twelve bits", (_name, id) => {
  const n = 200_000;
  const buckets = 4096;
  const hashes = Array.from({ length: n }, (_, i) => hashUserId(id(i)));
  for (let shift = 0; shift + 12 <= 53; shift += 6) {
    const counts = new Uint32Array(buckets);
    for (const hash of hashes) {
      const bucket = Math.floor(hash / 2 ** shift) % buckets;
      counts[bucket] = (counts[bucket] as number) + 1;
    }
    const expected = n / buckets;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // Mean 4,095, standard deviation 90: six of them either way.
    expect(chiSquare).toBeGreaterThan(4095 - 6 * 90);
    expect(chiSquare).toBeLessThan(4095 + 6 * 90);
  }
});

test("changing any one bit of an id changes each bit of its hash half of the time", () => {
  const ids = 2000;
  const length = 11;
  for (let flipped = 0; flipped < 4 * length; flipped++) {
    const changes = new Uint32Array(53);
    for (let i = 0; i < ids; i++) {
      const id = padded(i * 499);
      const at = flipped >> 2;
      const other = String.fromCharCode(id.charCodeAt(at) ^ (1 << (flipped & 3)));
      const difference =
        BigInt(hashUserId(id)) ^ BigInt(hashUserId(id.slice(0, at) + other + id.slice(at + 1)));
      for (let bit = 0, rest = difference; rest > 0n; bit++, rest >>= 1n) {
        if (rest & 1n) changes[bit] = (changes[bit] as number) + 1;
      }
    }
    // 0.5 with a standard deviation of 0.011: six of them either way.
    for (const count of changes) expect(Math.abs(count / ids - 0.5)).toBeLessThan(0.067);
  }
});

test("ids that differ only in what a careless hash drops have different hashes", () => {
  const ids = [
    "a",
    "a\u0100",
    "a\u0000",
    "\u0000a",
    "á",
    "\u00e1\u0000",
    "A",
    "ā",
    "aa",
    "aaaaaaaaa",
  ];
  expect(new Set(ids.map(hashUserId)).size).toBe(ids.length);
});
