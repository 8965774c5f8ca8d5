/** The two small parts of a window's state: durations and revenue. */
import { Durations, Revenue } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";
import { assertClose } from "../support/close.ts";
import { exactMoments } from "./exact.ts";
import { obeysMergeLaws } from "./laws.ts";

const seconds = fc.oneof(
  fc.double({ min: 0, max: 1e6, noNaN: true }),
  fc.constantFrom(0, -0, Number.MAX_VALUE, 1e-300),
);
const MOST = 999_999_999_999;
const cents = fc.oneof(fc.integer({ min: 0, max: MOST }), fc.constantFrom(0, 1, MOST));

obeysMergeLaws(
  "durations",
  () => new Durations(),
  seconds,
  (actual, expected) => {
    expect(actual.count).toBe(expected.count);
    assertClose(actual.mean(), expected.mean(), { relative: 1e-15 });
  },
);

obeysMergeLaws(
  "revenue",
  () => new Revenue(),
  cents,
  (actual, expected) => {
    expect(actual.cents()).toBe(expected.cents());
  },
);

test("the mean duration is that of exact arithmetic, and null of nothing", () => {
  expect(new Durations().mean()).toBe(null);
  fc.assert(
    fc.property(fc.array(seconds, { minLength: 1 }), (all) => {
      const state = new Durations();
      for (const one of all) state.add(one);
      assertClose(state.mean(), exactMoments(all).mean, { relative: 1e-15, absolute: 1e-280 });
    }),
  );
});

test("revenue is exact past 2^53, added or merged", () => {
  const part = new Revenue();
  let exact = 0n;
  for (let i = 0; i < 20_000; i++) {
    part.add(MOST - i);
    exact += BigInt(MOST - i);
  }
  expect(exact).toBeGreaterThan(2n ** 54n);
  expect(part.cents()).toBe(exact);
  const whole = new Revenue();
  for (let i = 0; i < 1000; i++) whole.merge(part);
  expect(whole.cents()).toBe(1000n * exact);
});
