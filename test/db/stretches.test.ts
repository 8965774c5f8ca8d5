import { joinStretches, type Stretch, widenStretches } from "@headrace/db";
import fc from "fast-check";
import { expect, test } from "vitest";

const stretch = fc
  .tuple(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 50 }))
  .map(([fromMicros, length]): Stretch => ({ fromMicros, toMicros: fromMicros + length }));

const covers = (stretches: readonly Stretch[], { fromMicros, toMicros }: Stretch): boolean =>
  stretches.some((it) => it.fromMicros <= fromMicros && toMicros <= it.toMicros);

test("joined stretches are few, in order, apart, and cover all that was given", () => {
  fc.assert(
    fc.property(fc.array(stretch, { maxLength: 30 }), (given) => {
      const joined = joinStretches(given);
      expect(joined.length).toBeLessThanOrEqual(8);
      expect(given.every((it) => covers(joined, it))).toBe(true);
      for (let i = 1; i < joined.length; i += 1) {
        expect(joined[i]?.fromMicros).toBeGreaterThan(joined[i - 1]?.toMicros ?? 0);
      }
    }),
  );
});

test("few stretches stay as they are", () => {
  const given = [
    { fromMicros: 500, toMicros: 600 },
    { fromMicros: 0, toMicros: 10 },
  ];
  expect(joinStretches(given)).toEqual([...given].reverse());
});

test("of too many, the nearest are joined", () => {
  const apart = [0, 100, 200, 300, 400, 500, 600, 700, 705].map((fromMicros) => ({
    fromMicros,
    toMicros: fromMicros,
  }));
  expect(joinStretches(apart).slice(-2)).toEqual([
    { fromMicros: 600, toMicros: 600 },
    { fromMicros: 700, toMicros: 705 },
  ]);
});

test("widened stretches that meet are one", () => {
  const two = [
    { fromMicros: 100, toMicros: 110 },
    { fromMicros: 150, toMicros: 160 },
  ];
  expect(widenStretches(two, 30, 10)).toEqual([{ fromMicros: 70, toMicros: 170 }]);
});
