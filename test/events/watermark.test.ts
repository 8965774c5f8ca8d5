import { lateClass, nextWatermark } from "@headrace/events";
import fc from "fast-check";
import { expect, test } from "vitest";

const SECOND = 1_000_000;
const micros = fc.integer({ min: -1e15, max: 1e15 });

test("nothing is late before a partition's first event", () => {
  expect(lateClass(-1e15, null)).toBe(0);
});

test.each([
  [1, 0],
  [0, 0],
  [-1, 1],
  [-60 * SECOND, 1],
  [-60 * SECOND - 1, 2],
  [-3600 * SECOND, 2],
  [-3600 * SECOND - 1, 3],
  [-86_400 * SECOND, 3],
  [-86_400 * SECOND - 1, 4],
])("an event %d µs from the watermark is of class %d", (distance, expected) => {
  const watermark = 1_769_854_500 * SECOND;
  expect(lateClass(watermark + distance, watermark)).toBe(expected);
});

test("the first event sets the watermark five seconds behind itself", () => {
  expect(nextWatermark(null, 100 * SECOND, 200 * SECOND)).toBe(95 * SECOND);
});

test("an event ahead of its record moves the watermark by the record's timestamp", () => {
  expect(nextWatermark(0, 300 * SECOND, 200 * SECOND)).toBe(195 * SECOND);
});

test("the watermark never goes back, and ends where its furthest event puts it, in any order", () => {
  const events = fc.array(fc.tuple(micros, micros), { minLength: 1 });
  const law = fc.property(events, (arrivals) => {
    let watermark: number | null = null;
    for (const [time, record] of arrivals) {
      const next = nextWatermark(watermark, time, record);
      expect(next).toBeGreaterThanOrEqual(watermark ?? Number.NEGATIVE_INFINITY);
      watermark = next;
    }
    const furthest = Math.max(...arrivals.map((arrival) => Math.min(...arrival)));
    expect(watermark).toBe(furthest - 5 * SECOND);
  });
  fc.assert(law);
});

test("an event is never late against the watermark that it sets itself", () => {
  const law = fc.property(micros, micros, (time, record) => {
    expect(lateClass(time, nextWatermark(null, time, record))).toBe(0);
  });
  fc.assert(law);
});
