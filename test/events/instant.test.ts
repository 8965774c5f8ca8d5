import { parseInstant } from "@headrace/events";
import fc from "fast-check";
import { expect, test } from "vitest";
import { instantText } from "./records.ts";

// Years in which a safe integer holds the microseconds.
const micros = fc.integer({ min: -9e15, max: 9e15 });

test("an instant in UTC with six digits is read as it stands", () => {
  const law = fc.property(micros, (at) => {
    expect(parseInstant(instantText(at))).toEqual({ micros: at, text: instantText(at) });
  });
  fc.assert(law);
});

test("an instant with an offset is the same instant in UTC", () => {
  const law = fc.property(micros, fc.integer({ min: -1439, max: 1439 }), (at, offset) => {
    const local = instantText(at + offset * 60e6).slice(0, -1);
    const zone = new Date(Math.abs(offset) * 60_000).toISOString().slice(11, 16);
    const text = `${local}${offset < 0 ? "-" : "+"}${zone}`;
    expect(parseInstant(text)).toEqual({ micros: at, text: instantText(at) });
  });
  fc.assert(law);
});

test("any text is read as Date reads it, to the millisecond, or refused", () => {
  const two = (max: number) => fc.nat(max).map((n) => String(n).padStart(2, "0"));
  const parts = [fc.nat(9999), two(13), two(32), two(24), two(60), two(60)] as const;
  const law = fc.property(fc.tuple(...parts), ([year, ...rest]) => {
    const [month, day, hour, minute, second] = rest;
    const text = `${String(year).padStart(4, "0")}-${month}-${day}T${hour}:${minute}:${second}Z`;
    const date = new Date(text);
    // Date rolls 02-30 over into March, and knows 24:00 and the year 0.
    const exists =
      year > 0 &&
      !Number.isNaN(date.getTime()) &&
      date.toISOString() === text.replace("Z", ".000Z");
    expect(parseInstant(text)).toEqual(
      exists ? { micros: date.getTime() * 1000, text } : undefined,
    );
  });
  fc.assert(law, { numRuns: 2_000 });
});

test.each([
  ["2026-01-31T10:15:00Z", "2026-01-31T10:15:00Z", 0],
  ["2026-01-31T10:15:00.5Z", "2026-01-31T10:15:00.5Z", 500_000],
  ["2026-01-31T10:15:00.123456789Z", "2026-01-31T10:15:00.123456Z", 123_456],
  ["2026-01-31T10:15:00.9999999Z", "2026-01-31T10:15:00.999999Z", 999_999],
  ["2026-01-31t10:15:00.000001z", "2026-01-31T10:15:00.000001Z", 1],
  ["2026-01-31T10:15:00-00:00", "2026-01-31T10:15:00Z", 0],
  ["2026-01-31T00:15:00.25-10:00", "2026-01-31T10:15:00.25Z", 250_000],
  ["2026-02-01T10:14:00.1234567+23:59", "2026-01-31T10:15:00.123456Z", 123_456],
])("%s is kept to the microsecond in UTC, further digits cut", (sent, text, fraction) => {
  const second = Date.UTC(2026, 0, 31, 10, 15) * 1000;
  expect(parseInstant(sent)).toEqual({ micros: second + fraction, text });
});

test("a time before 1970 keeps its fraction after its second", () => {
  const instant = parseInstant("1969-12-31T23:59:59.999999Z");
  expect(instant).toEqual({ micros: -1, text: "1969-12-31T23:59:59.999999Z" });
});

test("leap days exist where the Gregorian calendar has them", () => {
  const day = (date: string) => parseInstant(`${date}T00:00:00Z`)?.text.slice(0, 10);
  expect(day("2024-02-29")).toBe("2024-02-29");
  expect(day("2000-02-29")).toBe("2000-02-29");
  expect(day("1900-02-29")).toBe(undefined);
  expect(day("2023-02-29")).toBe(undefined);
});

test("the years 0001 to 9999 are read, and no year that an offset leads out of them", () => {
  expect(parseInstant("0001-01-01T00:00:00Z")?.text).toBe("0001-01-01T00:00:00Z");
  expect(parseInstant("9999-12-31T23:59:59.999999Z")?.text).toBe("9999-12-31T23:59:59.999999Z");
  expect(parseInstant("0001-01-01T00:00:00+00:01")).toBe(undefined);
  expect(parseInstant("9999-12-31T23:59:59-00:01")).toBe(undefined);
  expect(parseInstant("0000-06-01T00:00:00Z")).toBe(undefined);
});

test.each([
  "",
  "2026-01-31",
  "2026-01-31T10:15:00",
  "2026-01-31T10:15:00.5",
  "2026-01-31T10:15Z",
  "2026-01-31 10:15:00Z",
  "2026-01-31T10:15:60Z",
  "2026-01-31T10:60:00Z",
  "2026-01-31T24:00:00Z",
  "2026-02-30T10:15:00Z",
  "2026-04-31T10:15:00Z",
  "2026-00-10T10:15:00Z",
  "2026-13-10T10:15:00Z",
  "2026-01-00T10:15:00Z",
  "2026-1-31T10:15:00Z",
  "+002026-01-31T10:15:00Z",
  "-2026-01-31T10:15:00Z",
  "2026-01-31T10:15:00.Z",
  "2026-01-31T10:15:00,5Z",
  "2026-01-31T10:15:00.5 Z",
  "2026-01-31T10:15:00ZZ",
  "2026-01-31T10:15:00Z ",
  " 2026-01-31T10:15:00Z",
  "2026-01-31T10:15:00+2:00",
  "2026-01-31T10:15:00+0200",
  "2026-01-31T10:15:00+02",
  "2026-01-31T10:15:00+24:00",
  "2026-01-31T10:15:00+02:60",
  "2026-01-31T10:15:00±02:00",
  "2026-01-31T10:15:00٣Z",
  "2026-01-31T10:15:0\u0660Z",
  "1769854500",
  "Sat, 31 Jan 2026 10:15:00 GMT",
])("%j names no instant", (text) => {
  expect(parseInstant(text)).toBe(undefined);
});
