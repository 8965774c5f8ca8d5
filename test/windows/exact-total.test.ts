import { ExactTotal, WindowState } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";
import { assertClose } from "../support/close.ts";
import { exactMoments } from "./exact.ts";
import { obeysMergeLaws } from "./laws.ts";

const anyDouble = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 1e300, -1e300, 1.7e308, -1.7e308, 5e-324, -5e-324, 0.1, 1e16, 1),
);

const totalOf = (values: readonly number[]): ExactTotal => {
  const total = new ExactTotal();
  for (const value of values) total.add(value);
  return total;
};
const figuresOf = (total: ExactTotal) => [total.count, total.sum(), total.mean()];
const finite = (figure: number): number | null => (Number.isFinite(figure) ? figure + 0 : null);

obeysMergeLaws(
  "exact total",
  () => new ExactTotal(),
  anyDouble,
  (actual, expected) => {
    expect(figuresOf(actual)).toEqual(figuresOf(expected));
  },
);

test("sum and mean are the exact ones, rounded once", () => {
  fc.assert(
    fc.property(fc.array(anyDouble, { minLength: 1, maxLength: 30 }), (values) => {
      const total = totalOf(values);
      const exact = exactMoments(values);
      // The oracle cuts after 64 bits.
      assertClose(total.sum(), finite(exact.sum), { relative: 2 ** -52 });
      assertClose(total.mean(), finite(exact.mean), { relative: 2 ** -52 });
    }),
  );
});

test("what was added and taken away again leaves nothing", () => {
  fc.assert(
    fc.property(fc.array(anyDouble), fc.array(anyDouble), (passing, staying) => {
      const total = totalOf([...passing, ...staying]);
      for (const value of passing) total.remove(value);
      expect(figuresOf(total)).toEqual(figuresOf(totalOf(staying)));
      total.subtract(totalOf(staying));
      expect(figuresOf(total)).toEqual([0, null, null]);
    }),
  );
});

test("a sum beyond the doubles is null, its mean is not, and both come back into range", () => {
  const total = totalOf([1.7e308, 1.7e308]);
  expect(figuresOf(total)).toEqual([2, null, 1.7e308]);
  total.add(-1.7e308);
  expect(total.sum()).toBe(1.7e308);
});

test("takes a window's sum as exactly as the window keeps it", () => {
  const state = WindowState.empty();
  for (const value of [1e300, -1e300, 3, 1e-200, 0]) {
    state.add({ userId: "u", value, amountCents: null, durationSeconds: null, lateClass: 0 });
  }
  const total = totalOf([1]);
  WindowState.decode(state.encode()).addValuesTo(total);
  expect([total.count, total.sum()]).toEqual([6, 4]);
  WindowState.empty().addValuesTo(total);
  expect(total.count).toBe(6);
});
