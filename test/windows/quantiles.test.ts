import { Quantiles } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";
import { obeysMergeLaws } from "./laws.ts";

/** Every magnitude that is promised, spread over its logarithm, of every sign. */
const value = fc.oneof(
  fc
    .tuple(fc.double({ min: -9, max: 15, noNaN: true }), fc.boolean())
    .map(([power, negative]) => Math.min(10 ** power, 1e15) * (negative ? -1 : 1)),
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom(0, -0, 1e-9, -1e-9, 1e15, -1e15, 9.999e-10, 1e-300),
);
const anyDouble = fc.double({ noNaN: true, noDefaultInfinity: true });
const QS = [0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1];

const of = (values: Iterable<number>): Quantiles => {
  const state = new Quantiles();
  for (const one of values) state.add(one);
  return state;
};

// So long that a short one is merged bin by bin and not side by side.
const LONGEST = 60;

obeysMergeLaws("quantiles", () => new Quantiles(), value, assertSame, LONGEST);

function assertSame(actual: Quantiles, expected: Quantiles): void {
  expect(actual.count).toBe(expected.count);
  const last = Math.max(1, expected.count - 1);
  for (let rank = 0; rank <= last; rank++) {
    expect(actual.quantile(rank / last)).toBe(expected.quantile(rank / last));
  }
}

test("each quantile is within 1 % of the value of its rank", () =>
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 60 }), (values) => {
      for (const q of QS) assertWithinOnePercent(of(values), values, q);
    }),
    { numRuns: 500 },
  ));

test("1 % holds up to the greatest double", () =>
  fc.assert(
    fc.property(fc.array(anyDouble, { minLength: 1 }), (values) => {
      for (const q of QS) assertWithinOnePercent(of(values), values, q);
    }),
  ));

test("1 % holds at every edge between bins", () => {
  for (let octave = -29; octave <= 50; octave++) {
    for (let step = 0; step <= 4096; step++) {
      const at = 2 ** octave * (1 + step / 4096);
      for (const one of [at, at * (1 - 2 ** -53), at * (1 + 2 ** -52)]) {
        assertWithinOnePercent(of([one]), [one], 0.5);
      }
    }
  }
});

test.each([
  ["uniform", (u: number) => 1000 * u],
  ["long-tailed", (u: number) => (1 - u) ** -2],
  ["of both signs", (u: number) => Math.tan(Math.PI * (u - 0.5))],
  ["bunched", (u: number) => Math.floor(20 * u)],
])(
  "fifty thousand %s values merged from parts of 1, 2, 4, 8 … are ranked as a whole",
  (_name, shape) => {
    const n = 50_000;
    // 30,011 and n share no factor, so every u comes once.
    const values = Array.from({ length: n }, (_, i) => shape(((i * 30_011) % n) / n));
    const state = new Quantiles();
    for (let from = 0, size = 1; from < n; from += size, size *= 2) {
      state.merge(of(values.slice(from, from + size)));
    }
    expect(state.count).toBe(n);
    for (const q of QS) assertWithinOnePercent(state, values, q);
  },
);

test("hand-worked ranks: the value of rank ⌊q(n-1)⌋, never one between two", () => {
  const two = of([1, 1000]);
  expect(two.quantile(0.5)).toBeCloseTo(1, 1);
  expect(two.quantile(0.99)).toBeCloseTo(1, 1);
  const percentiles = of(Array.from({ length: 101 }, (_, i) => i));
  for (const [q, rank] of [
    [0.5, 50],
    [0.95, 95],
    [0.99, 99],
  ] as const) {
    expect(Math.abs((percentiles.quantile(q) as number) - rank)).toBeLessThanOrEqual(rank / 100);
  }
});

test("negative values are ranked below zeros and zeros below positive values", () => {
  const state = of([5, -5, 0, -1e-10, 1e-10, -1000, 1000]);
  const ranked = [0, 1, 2, 3, 4, 5, 6].map((rank) =>
    Math.round(state.quantile(rank / 6) as number),
  );
  expect(ranked[0]).toBeLessThan(-985);
  expect(ranked.slice(1, 6)).toEqual([-5, 0, 0, 0, 5]);
  expect(ranked[6]).toBeGreaterThan(985);
});

test("nothing has no quantiles", () => {
  expect(new Quantiles().quantile(0.5)).toBe(null);
});

function assertWithinOnePercent(state: Quantiles, values: readonly number[], q: number): void {
  const sorted = [...values].sort((a, b) => a - b);
  const exact = sorted[Math.floor(q * (sorted.length - 1))] as number;
  const about = state.quantile(q) as number;
  if (Math.abs(exact) < 1e-9) {
    if (about !== 0) expect.fail(`${about} for ${exact}, which counts as 0`);
  } else if (!(Math.abs(about - exact) <= 0.01 * Math.abs(exact))) {
    expect.fail(`${about} is more than 1 % away from ${exact}`);
  }
}
