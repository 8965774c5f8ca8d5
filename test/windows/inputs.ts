/** Events as windows see them, at random. */
import type { WindowInput } from "@headrace/windows";
import fc from "fast-check";

const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> =>
  fc.option(value, { nil: null });

const input = (value: fc.Arbitrary<number>, seconds: fc.Arbitrary<number>) =>
  fc.record<WindowInput>({
    userId: fc.oneof(
      fc.nat(30).map((i) => `user_${i}`),
      fc.string({ minLength: 1, maxLength: 128, unit: "grapheme" }),
    ),
    value: maybe(value),
    amountCents: maybe(fc.integer({ min: 0, max: 999_999_999_999 })),
    durationSeconds: maybe(seconds),
    lateClass: fc.constantFrom(0, 0, 0, 1, 2, 3, 4),
  });

/** Values of every sign and any magnitude, zero and the extremes of doubles among them. */
export const anyInput = input(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ min: 0, max: 1e9, noNaN: true }),
);

/** Values and durations in quarters: their sums, and those of their squares, are exact. */
export const quarterInput = input(
  fc.integer({ min: -1e6, max: 1e6 }).map((quarters) => quarters / 4),
  fc.nat(1e6).map((quarters) => quarters / 4),
);

export const plainInput: WindowInput = {
  userId: "user_000001",
  value: null,
  amountCents: null,
  durationSeconds: null,
  lateClass: 0,
};
