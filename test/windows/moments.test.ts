import { Moments } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";
import { assertClose } from "../support/close.ts";
import { exactMoments, rootOfQuotient } from "./exact.ts";
import { obeysMergeLaws } from "./laws.ts";

const price = fc.integer({ min: -1e9, max: 1e9 }).map((cents) => cents / 100);
const anyDouble = fc.double({ noNaN: true, noDefaultInfinity: true });

/** Around where magnitudes begin to be summed apart. */
const straddling = fc
  .tuple(fc.constantFrom(2 ** -400, 2 ** 400), fc.double({ min: -8, max: 8, noNaN: true }))
  .map(([edge, factor]) => edge * factor);

const of = (values: Iterable<number>): Moments => {
  const state = new Moments();
  for (const value of values) state.add(value);
  return state;
};

for (const [name, value] of [
  ["moments of prices", price],
  ["moments of any doubles", fc.oneof(anyDouble, straddling)],
] as const) {
  obeysMergeLaws(
    name,
    () => new Moments(),
    value,
    (actual, expected, values) => {
      expect(actual.count).toBe(expected.count);
      expect(actual.min()).toBe(expected.min());
      expect(actual.max()).toBe(expected.max());
      const largest = Math.max(0, ...values.map(Math.abs));
      assertClose(actual.mean(), expected.mean(), { relative: 1e-15, absolute: 1e-25 * largest });
      assertClose(actual.sum(), expected.sum(), { relative: 1e-15, absolute: 1e-25 * largest });
      assertClose(actual.stddev(), expected.stddev(), {
        relative: 1e-12,
        absolute: 1e-14 * largest,
      });
    },
  );
}

test("sum, mean and standard deviation of a hand-worked sample", () => {
  const state = of([2, 4, 4, 4, 5, 5, 7, 9]);
  expect([state.count, state.sum(), state.mean(), state.min(), state.max()]).toEqual([
    8, 40, 5, 2, 9,
  ]);
  assertClose(state.stddev(), Math.sqrt(32 / 7), { relative: 1e-15 });
});

test("values of both signs: hand-worked", () => {
  const state = of([-3, -1, 0, 1, 3]);
  expect([state.sum(), state.mean(), state.min(), state.max()]).toEqual([0, 0, -3, 3]);
  assertClose(state.stddev(), Math.sqrt(5), { relative: 1e-15 });
});

test("nothing has no figures, and a single value has no spread", () => {
  const none = new Moments();
  expect([none.count, none.sum(), none.mean(), none.min(), none.max(), none.stddev()]).toEqual([
    0,
    null,
    null,
    null,
    null,
    null,
  ]);
  const one = of([-0.1]);
  expect([one.count, one.sum(), one.mean(), one.min(), one.max(), one.stddev()]).toEqual([
    1,
    -0.1,
    -0.1,
    -0.1,
    -0.1,
    null,
  ]);
});

test("equal values have a spread of exactly 0", () => {
  expect(of(new Array(1000).fill(0.1)).stddev()).toBe(0);
  expect(of([0, -0, 0]).stddev()).toBe(0);
});

test("a negative zero is a zero, or extremes would depend on which came first", () => {
  for (const zeros of [[-0], [0, -0], [-0, 0]]) {
    const state = of(zeros);
    expect([state.sum(), state.mean(), state.min(), state.max()]).toEqual([0, 0, 0, 0]);
  }
});

test.each([
  ["any doubles", fc.oneof(price, anyDouble)],
  ["very small and small values", straddling.filter((value) => Math.abs(value) < 1)],
  ["very large and large values", straddling.filter((value) => Math.abs(value) > 1)],
])("figures of %s are those of exact arithmetic", (_name, value) =>
  fc.assert(
    fc.property(fc.array(value, { minLength: 1 }), (values) => {
      const state = of(values);
      const exact = exactMoments(values);
      const largest = Math.max(...values.map(Math.abs));
      assertFigure(state.sum(), exact.sum, { relative: 1e-15, absolute: 1e-25 * largest });
      assertFigure(state.mean(), exact.mean, { relative: 1e-15, absolute: 1e-25 * largest });
      if (values.length > 1 && (exact.stddev ?? 0) >= 1e-6 * Math.abs(exact.mean)) {
        assertFigure(state.stddev(), exact.stddev, { relative: 1e-9, absolute: 1e-320 });
      }
    }),
    { numRuns: 500 },
  ),
);

test("a sum in which nearly everything cancels keeps what is left", () => {
  const values = [1e16, 1, -1e16, 1e-3, 3e15, -3e15];
  expect(of(values).sum()).toBe(1.001);
  expect(of(Array.from({ length: 10 }, () => 0.1)).sum()).toBe(1);
});

test.each([1e-6, 1])(
  "a million values with a spread of %d of their mean keep it to 1e-9, whole or in parts",
  (spread) => {
    // Whole numbers, so that the exact figure is at hand; the scale is no power of two.
    const mean = 2 ** 41 + 12_345;
    const reach = Math.max(2, Math.round(mean * spread * Math.sqrt(3)));
    const random = mulberry(41);
    const n = 1_000_000;
    const whole = new Moments();
    const parts = Array.from({ length: 100 }, () => new Moments());
    let sum = 0n;
    let squares = 0n;
    for (let i = 0; i < n; i++) {
      const distance = Math.floor((2 * random() - 1) * reach);
      whole.add(mean + distance);
      parts[(i * 7919) % parts.length]?.add(mean + distance);
      sum += BigInt(distance);
      squares += BigInt(distance) ** 2n;
    }
    const count = BigInt(n);
    const exact = rootOfQuotient(count * squares - sum * sum, count * (count - 1n));
    const merged = new Moments();
    for (const part of parts) merged.merge(part);
    expect(exact / mean).toBeGreaterThan(spread * 0.9);
    assertClose(whole.stddev(), exact, { relative: 1e-12 });
    assertClose(merged.stddev(), exact, { relative: 1e-12 });
  },
);

test("the least spread that is promised holds for values with all their bits", () => {
  const random = mulberry(7);
  const values = Array.from(
    { length: 3000 },
    () => 1e3 / 7 + (random() - 0.5) * 3.6e-6 * (1e3 / 7),
  );
  const exact = exactMoments(values);
  expect((exact.stddev as number) / exact.mean).toBeGreaterThan(1e-6);
  assertClose(of(values).stddev(), exact.stddev, { relative: 1e-12 });
});

test("a figure is null only if it is itself beyond the doubles, in whatever order values come", () => {
  const most = Number.MAX_VALUE;
  const overflowing = of([most, most]);
  expect([overflowing.sum(), overflowing.mean(), overflowing.stddev()]).toEqual([null, most, 0]);
  for (const values of [
    [most, most, -most],
    [-most, most, most],
  ]) {
    expect(of(values).sum()).toBe(most);
    // Its distances from the mean exceed the doubles, the figure √(4/3) · MAX too.
    expect(of(values).stddev()).toBe(null);
  }
  const [one, other] = [of([most, most]), of([-most, -most, 5])];
  one.merge(other);
  expect(one.sum()).toBe(5);
});

test("the spread of very large and of very small values is no overflow and no zero", () => {
  for (const unit of [2 ** 700, 2 ** 1000, 2 ** -700, 2 ** -1040]) {
    assertClose(of([unit, 2 * unit, 4 * unit]).stddev(), Math.sqrt(7 / 3) * unit, {
      relative: 1e-9,
    });
  }
  assertClose(of([0, 1e-200]).stddev(), Math.SQRT1_2 * 1e-200, { relative: 1e-12 });
  assertClose(of([1e-200, 1, 3, 1e-300]).sum(), 4, {});
});

/** `exact` may be infinite, which the figure is then not allowed to be. */
function assertFigure(
  actual: number | null,
  exact: number | null,
  tolerance: { relative: number; absolute: number },
): void {
  if (exact !== null && Math.abs(exact) > 1.7e308) return;
  assertClose(actual, exact, tolerance);
}

/** A small generator of chance with a seed (mulberry32), from 0 up to 1. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
