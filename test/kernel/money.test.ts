import { formatCents, MAX_AMOUNT_CENTS, parseCents } from "@headrace/kernel";
import fc from "fast-check";
import { expect, test } from "vitest";

test("every amount survives being written and read", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_AMOUNT_CENTS }), (cents) => {
      expect(parseCents(formatCents(cents))).toBe(cents);
    }),
  );
});

test.each([
  ["0", 0],
  ["0.1", 10],
  ["0.10", 10],
  ["12", 1200],
  ["007.05", 705],
  ["9999999999.99", MAX_AMOUNT_CENTS],
])("%s is %i cents", (text, cents) => {
  expect(parseCents(text)).toBe(cents);
});

test.each(["", "-1", "+1", "1.", ".5", "1.234", "1e2", "1,00", " 1", "10000000000", "NaN", "0x10"])(
  "%j is refused rather than rounded",
  (text) => {
    expect(parseCents(text)).toBe(undefined);
  },
);

test("sums past 2^53 and below zero are written exactly", () => {
  expect(formatCents(900719925474099301n)).toBe("9007199254740993.01");
  expect(formatCents(-5)).toBe("-0.05");
  expect(formatCents(0)).toBe("0.00");
});
