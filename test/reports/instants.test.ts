import { instantOf } from "@headrace/reports";
import { expect, test } from "vitest";

test.each([
  [0, "1970-01-01T00:00:00Z"],
  [1, "1970-01-01T00:00:00.000001Z"],
  [1_500_000, "1970-01-01T00:00:01.5Z"],
  [1_767_225_600_123_456, "2026-01-01T00:00:00.123456Z"],
  [1_767_225_600_120_000, "2026-01-01T00:00:00.12Z"],
  [-1, "1969-12-31T23:59:59.999999Z"],
  [-1_000_000, "1969-12-31T23:59:59Z"],
  [-8_520_336_000_000_000, "1700-01-01T00:00:00Z"],
])("%i µs are %s: as many digits as it takes", (micros, text) => {
  expect(instantOf(micros)).toBe(text);
});
