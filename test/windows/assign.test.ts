import { WINDOW_MICROS, WINDOW_SIZES, windowEnd, windowStart } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";

const size = fc.constantFrom(...WINDOW_SIZES);
const instant = fc.integer({ min: -8.64e15, max: 8.64e15 });
const micros = (text: string): number => Date.parse(text) * 1000;

test.each([
  ["2026-03-29T01:59:59.999Z", "10s", "2026-03-29T01:59:50.000Z"],
  ["2026-03-29T02:00:00.000Z", "10s", "2026-03-29T02:00:00.000Z"],
  ["2026-03-29T01:59:59.999Z", "1m", "2026-03-29T01:59:00.000Z"],
  ["2026-03-29T01:59:59.999Z", "1h", "2026-03-29T01:00:00.000Z"],
  ["2026-03-29T23:59:59.999Z", "1d", "2026-03-29T00:00:00.000Z"],
  ["1969-12-31T23:59:59.999Z", "10s", "1969-12-31T23:59:50.000Z"],
  ["1969-12-31T23:59:59.999Z", "1d", "1969-12-31T00:00:00.000Z"],
  ["1970-01-01T00:00:00.000Z", "1d", "1970-01-01T00:00:00.000Z"],
] as const)("%s lies in the %s window that starts at %s", (at, of, start) => {
  expect(windowStart(micros(at), of)).toBe(micros(start));
});

test("one microsecond on either side of a boundary belongs to two windows", () => {
  const boundary = micros("2026-03-29T02:00:00Z");
  expect(windowStart(boundary - 1, "1h")).toBe(boundary - WINDOW_MICROS["1h"]);
  expect(windowStart(boundary, "1h")).toBe(boundary);
  expect(windowEnd(boundary - 1, "1h")).toBe(boundary);
});

test("every instant lies in exactly the window that it is given", () =>
  fc.assert(
    fc.property(instant, size, (at, of) => {
      const start = windowStart(at, of);
      expect(start <= at && at < start + WINDOW_MICROS[of]).toBe(true);
      expect(windowEnd(at, of)).toBe(start + WINDOW_MICROS[of]);
      expect(BigInt(start) % BigInt(WINDOW_MICROS[of])).toBe(0n);
      expect(Object.is(start, -0)).toBe(false);
    }),
  ));

test("a smaller window lies within one larger window", () =>
  fc.assert(
    fc.property(instant, size, size, (at, one, other) => {
      const [small, large] =
        WINDOW_MICROS[one] < WINDOW_MICROS[other] ? [one, other] : [other, one];
      expect(windowStart(windowStart(at, small), large)).toBe(windowStart(at, large));
    }),
  ));
