import fc from "fast-check";
import { expect, test } from "vitest";
import { instantText, readInstant } from "../../packages/traffic/src/replay/instant-text.ts";

test.each([
  ["2026-01-31 10:15:00", "2026-01-31T10:15:00Z"],
  ["2026-01-31T10:15:00", "2026-01-31T10:15:00Z"],
  ["2026-01-31 10:15", "2026-01-31T10:15:00Z"],
  ["2026-01-31", "2026-01-31T00:00:00Z"],
  ["2026-01-31 10:15:00.123456789", "2026-01-31T10:15:00.123456Z"],
  ["2026-01-31 10:15:00,5", "2026-01-31T10:15:00.5Z"],
  ["2026-01-31 10:15:00 UTC", "2026-01-31T10:15:00Z"],
  ["2026-01-31 10:15:00.25+00", "2026-01-31T10:15:00.25Z"],
  ["2026-01-31T10:15:00+0200", "2026-01-31T08:15:00Z"],
  ["2026-01-31T10:15:00-05:30", "2026-01-31T15:45:00Z"],
  ["2026-01-31T10:15:00Z", "2026-01-31T10:15:00Z"],
])("%s is %s", (text, wanted) => {
  expect(readInstant(text)?.text).toBe(wanted);
});

test.each([
  "",
  "yesterday",
  "31/01/2026 10:15",
  "1/31/2026 10:15:00",
  "2026-02-29 10:15:00",
  "2026-01-31 25:15:00",
  "2026-01-31x10:15:00",
  "2026-01-31 10:15:00 CET",
  "1769854500",
  "1769854500000",
])("%j is no time", (text) => {
  expect(readInstant(text)).toBe(undefined);
});

test("an instant is read back from its text to the microsecond", () => {
  const micros = fc.integer({ min: -9e15, max: 9e15 });
  fc.assert(
    fc.property(micros, (instant) => {
      expect(readInstant(instantText(instant))?.micros).toBe(instant);
    }),
  );
});
