import { instantText } from "@headrace/db";
import {
  decodeCursor,
  durationParam,
  durationText,
  encodeCursor,
  instantParam,
  limitParam,
  requireRange,
  textParam,
  wholeParam,
} from "@headrace/handler";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";

const DAY = 86_400_000_000;

describe("an instant", () => {
  test("is exact to the microsecond, whatever its offset", () => {
    const micros = fc.integer({ min: Date.UTC(1700, 0) * 1000, max: Date.UTC(2250, 0) * 1000 });
    fc.assert(
      fc.property(micros, fc.integer({ min: -14 * 60, max: 14 * 60 }), (at, offsetMinutes) => {
        const local = instantText(at + offsetMinutes * 60_000_000).slice(0, -1);
        const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
        const size = Math.abs(offsetMinutes);
        const offset = `${offsetMinutes < 0 ? "-" : "+"}${two(size / 60)}:${two(size % 60)}`;
        expect(instantParam.parse(local + offset)).toBe(at);
        // An unescaped plus sign arrives as a space.
        expect(instantParam.parse((local + offset).replace("+", " "))).toBe(at);
      }),
    );
  });

  test("with more digits than microseconds is cut, never rounded", () => {
    expect(
      instantParam.parse("2026-01-01T00:00:00.9999999Z") -
        instantParam.parse("2026-01-01T00:00:00Z"),
    ).toBe(999_999);
  });

  test.each([
    "",
    "now",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-01-01 00:00:00Z",
    "1767225600",
    "2026-01-01T24:00:00Z",
    "1699-12-31T23:59:59Z",
    "2250-01-01T00:00:00.000001Z",
  ])("is not %j", (text) => {
    expect(instantParam.safeParse(text).success).toBe(false);
  });
});

describe("a duration", () => {
  const upToADay = durationParam({ minMicros: 10_000_000, maxMicros: DAY, stepMicros: 10_000_000 });
  test.each([
    ["10s", 10_000_000],
    ["5m", 300_000_000],
    ["24h", DAY],
    ["1d", DAY],
    ["86400s", DAY],
  ])("%s is so many microseconds", (text, micros) => {
    expect(upToADay.parse(text)).toBe(micros);
  });

  test.each([
    "",
    "5",
    "s",
    "9s",
    "15s",
    "0s",
    "-10s",
    "1.5h",
    "25h",
    "2d",
    "1y",
    " 10s",
    "10s ",
    "10S",
    "9999999999s",
    "10ms",
  ])("%j is refused", (text) => {
    expect(upToADay.safeParse(text).success).toBe(false);
  });

  test("is told by the largest unit that fits", () => {
    expect([DAY, 90_000_000, 3_600_000_000, 7].map(durationText)).toEqual([
      "1d",
      "90s",
      "1h",
      "7µs",
    ]);
  });
});

describe("numbers and texts", () => {
  test("a limit has its standard, its least and its most", () => {
    const limit = limitParam({ standard: 100, max: 1000 });
    expect([limit.parse(undefined), limit.parse("1"), limit.parse("1000")]).toEqual([100, 1, 1000]);
    for (const text of ["", "0", "1001", "-1", "1.0", "1e2", "0x10", " 1", "١"]) {
      expect([text, limit.safeParse(text).success]).toEqual([text, false]);
    }
  });

  test("a whole number may be zero where zero is in its bounds", () => {
    expect(wholeParam({ min: 0, max: 5 }).parse("0")).toBe(0);
  });

  test("a text is bounded and can be stored", () => {
    const text = textParam(4);
    expect(text.parse("a/b%")).toBe("a/b%");
    for (const bad of ["", "abcde", "a\0b", "a\ud800"])
      expect([bad, text.safeParse(bad).success]).toEqual([bad, false]);
  });
});

describe("a range", () => {
  test("may be as long as it may and not a microsecond longer", () => {
    const range = (length: number) => () =>
      requireRange({ fromMicros: 1, toMicros: 1 + length }, { maxMicros: DAY });
    expect(range(DAY)).not.toThrow();
    expect(range(1)).not.toThrow();
    expect(range(DAY + 1)).toThrow("from and to must be at most 1d apart");
    expect(range(0)).toThrow("to must be after from");
    expect(range(-1)).toThrow("to must be after from");
  });
});

describe("a cursor", () => {
  const keySchema = z.tuple([z.int(), z.string(), z.string().nullable()]);
  const queryOf = fc
    .dictionary(fc.string(), fc.string())
    .map((object) => new Map(Object.entries(object)));
  const key = fc.tuple(fc.maxSafeInteger(), fc.string({ unit: "grapheme" }), fc.option(fc.uuid()));

  test("gives back its key under the same query, in any order of parameters", () => {
    fc.assert(
      fc.property(queryOf, key, (query, given) => {
        const cursor = encodeCursor("GET /a", query, given);
        const reordered = new Map([["cursor", cursor], ...[...query].reverse(), ["limit", "7"]]);
        expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(decodeCursor(keySchema, cursor, "GET /a", reordered)).toEqual(given);
      }),
    );
  });

  test("is refused under another query or another route", () => {
    fc.assert(
      fc.property(
        queryOf,
        fc.string({ minLength: 1 }),
        fc.string(),
        key,
        (query, name, value, given) => {
          fc.pre(name !== "limit" && name !== "cursor" && query.get(name) !== value);
          const cursor = encodeCursor("GET /a", query, given);
          const other = new Map(query).set(name, value);
          expect(() => decodeCursor(keySchema, cursor, "GET /a", other)).toThrow("another query");
          expect(() => decodeCursor(keySchema, cursor, "GET /b", query)).toThrow("another query");
        },
      ),
    );
  });

  test("that is any other text is refused as one and never anything else", () => {
    const garbage = fc.oneof(
      fc.string(),
      fc.base64String(),
      fc.json().map((text) => Buffer.from(text).toString("base64url")),
    );
    fc.assert(
      fc.property(garbage, (text) => {
        expect(() => decodeCursor(keySchema, text, "GET /a", new Map())).toThrow(
          expect.objectContaining({ kind: "invalid", code: "cursor.invalid" }),
        );
      }),
    );
  });
});
