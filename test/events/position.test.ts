import { encodeFirstPosition, type Position, parseFirstPosition } from "@headrace/events";
import fc from "fast-check";
import { expect, test } from "vitest";

const position: fc.Arbitrary<Position> = fc.record({
  topic: fc.stringMatching(/^[A-Za-z0-9._-]{1,249}$/).filter((name) => !/^\.\.?$/.test(name)),
  partition: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  offset: fc.maxSafeNat(),
  timestampMillis: fc.maxSafeInteger().map((millis) => millis + 0),
});

test("any position survives its header", () => {
  const law = fc.property(position, (at) => {
    expect(parseFirstPosition(encodeFirstPosition(at))).toEqual(at);
  });
  fc.assert(law);
});

test("a topic's dots and hyphens are no separators", () => {
  const at = { topic: "eu-1.events-2", partition: 7, offset: 12, timestampMillis: -1 };
  expect(encodeFirstPosition(at)).toBe("eu-1.events-2/7/12/-1");
  expect(parseFirstPosition("eu-1.events-2/7/12/-1")).toEqual(at);
});

test.each([
  "",
  "events",
  "events/1/2",
  "events/1/2/3/4",
  "/1/2/3",
  "./1/2/3",
  "../1/2/3",
  "a/b/1/2/3",
  "événements/1/2/3",
  `${"x".repeat(250)}/1/2/3`,
  "events/-1/2/3",
  "events/2147483648/2/3",
  "events/01/2/3",
  "events/1/-2/3",
  "events/1/9007199254740993/3",
  "events/1/2/-0",
  "events/1/2/3.5",
  "events/1/2/1e3",
  "events/1/2/3\n",
  " events/1/2/3",
  "events/１/2/3",
])("%j is no first position", (text) => {
  expect(parseFirstPosition(text)).toBe(undefined);
});

test("no text makes the parser throw", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const parsed = parseFirstPosition(text);
      if (parsed !== undefined) expect(encodeFirstPosition(parsed)).toBe(text);
    }),
  );
});
