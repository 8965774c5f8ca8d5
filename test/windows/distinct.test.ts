import { Distinct } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";
import { obeysMergeLaws } from "./laws.ts";

const of = (ids: Iterable<string>): Distinct => {
  const state = new Distinct();
  for (const id of ids) state.add(id);
  return state;
};
const range = (from: number, to: number, name = "user_"): string[] =>
  Array.from({ length: to - from }, (_, i) => `${name}${from + i}`);

/** A few ids that repeat, and hundreds at once, so that states are small, at the limit and large. */
const user = fc.integer({ min: 0, max: 20 }).map((i) => [`user_${i}`]);
const crowd = fc
  .tuple(fc.nat(600), fc.nat(400))
  .map(([from, length]) => range(from, from + length));

obeysMergeLaws("distinct", () => new Distinct(), fc.nat(20).map(String), assertSame);

/** States of crowds, because a law about states of a dozen ids would never leave the exact half. */
class Crowd {
  readonly state = new Distinct();

  add(ids: readonly string[]): void {
    for (const id of ids) this.state.add(id);
  }

  merge(other: Crowd): void {
    this.state.merge(other.state);
  }

  clone(): Crowd {
    const copy = new Crowd();
    copy.state.merge(this.state);
    return copy;
  }
}

obeysMergeLaws(
  "distinct of crowds",
  () => new Crowd(),
  fc.oneof(user, crowd),
  (actual, expected) => assertSame(actual.state, expected.state),
  4,
);

test.each([0, 1, 2, 255, 256])("%d distinct ids are counted exactly", (n) => {
  const state = of([...range(0, n), ...range(0, n)]);
  expect(state.count()).toBe(n);
  expect(state.exact).toBe(true);
});

test("the 257th id makes the count an estimate that still knows there are 257", () => {
  const state = of(range(0, 257));
  expect(state.exact).toBe(false);
  expect(state.count()).toBeGreaterThanOrEqual(257);
  expect(state.count()).toBeLessThanOrEqual(257 * 1.05);
});

test("a union of at most 256 ids is exact in whatever order its parts met", () =>
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.nat(255), { maxLength: 300 }), { maxLength: 8 }),
      fc.boolean(),
      (parts, fromTheRight) => {
        const states = parts.map((ids) => of(ids.map(String)));
        const whole = new Distinct();
        for (const state of fromTheRight ? states.reverse() : states) whole.merge(state);
        expect(whole.exact).toBe(true);
        expect(whole.count()).toBe(new Set(parts.flat()).size);
      },
    ),
  ));

test.each([300, 1000, 3000, 10_000, 30_000])(
  "the estimate of %d distinct ids has a standard error below 2 % and no bias",
  (n) => {
    const trials = n > 20_000 ? 50 : 200;
    let errors = 0;
    let squares = 0;
    for (let trial = 0; trial < trials; trial++) {
      const error = of(range(0, n, `shop-${trial}/`)).count() / n - 1;
      errors += error;
      squares += error * error;
    }
    expect(Math.sqrt(squares / trials)).toBeLessThan(0.02);
    // The mean of the trials' errors: 1.6 % / √trials is one standard deviation of it.
    expect(Math.abs(errors / trials)).toBeLessThan((4 * 0.0163) / Math.sqrt(trials));
  },
);

test.each([
  ["user_", (i: number) => `user_${String(i).padStart(6, "0")}`],
  ["", String],
])("a million sequential ids %s… are estimated within three standard errors", (_prefix, id) => {
  const state = new Distinct();
  for (let i = 1; i <= 1_000_000; i++) state.add(id(i));
  expect(Math.abs(state.count() / 1e6 - 1)).toBeLessThan(3 * 0.0163);
});

function assertSame(actual: Distinct, expected: Distinct): void {
  expect(actual.exact).toBe(expected.exact);
  expect(actual.least).toBe(expected.least);
  expect(actual.count()).toBe(expected.count());
}
