import { type WindowInput, WindowState } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";
import { assertClose } from "../support/close.ts";
import { exactMoments } from "./exact.ts";
import { anyInput, plainInput, quarterInput } from "./inputs.ts";
import { obeysMergeLaws } from "./laws.ts";

const of = (inputs: Iterable<WindowInput>): WindowState => {
  const state = WindowState.empty();
  for (const input of inputs) state.add(input);
  return state;
};

obeysMergeLaws(
  "window states of exact sums",
  WindowState.empty,
  quarterInput,
  (actual, expected) => {
    expect(actual.figures()).toEqual(expected.figures());
    expect(actual.encode().toString("hex")).toBe(expected.encode().toString("hex"));
  },
);

obeysMergeLaws(
  "window states of any values",
  WindowState.empty,
  anyInput,
  (actual, expected, all) => {
    const largest = Math.max(0, ...all.map(({ value }) => Math.abs(value ?? 0)));
    const { valueSum, valueMean, valueStddev, durationMean, ...rest } = actual.figures();
    const { valueSum: sum, valueMean: mean, valueStddev: stddev, ...others } = expected.figures();
    assertClose(valueSum, sum, { relative: 1e-15, absolute: 1e-25 * largest });
    assertClose(valueMean, mean, { relative: 1e-15, absolute: 1e-25 * largest });
    assertClose(valueStddev, stddev, { relative: 1e-12, absolute: 1e-14 * largest });
    assertClose(durationMean, others.durationMean, { relative: 1e-15 });
    expect({ ...rest, durationMean: null }).toEqual({ ...others, durationMean: null });
  },
);

test("the figures are those of a recomputation from the events", () =>
  fc.assert(
    fc.property(fc.array(anyInput, { minLength: 1, maxLength: 40 }), (inputs) => {
      const figures = of(inputs).figures();
      const present = <Key extends keyof WindowInput>(key: Key) =>
        inputs.flatMap((input) => (input[key] === null ? [] : [input[key]]));
      const values = present("value").sort((a, b) => a - b);
      const durations = present("durationSeconds");
      expect(figures).toMatchObject({
        eventCount: inputs.length,
        valueCount: values.length,
        distinctUsers: new Set(inputs.map(({ userId }) => userId)).size,
        revenueCents: present("amountCents").reduce((sum, cents) => sum + BigInt(cents), 0n),
        durationCount: durations.length,
        lateEvents: inputs.filter(({ lateClass }) => lateClass > 0).length,
      });
      assertClose(
        figures.durationMean,
        durations.length === 0 ? null : exactMoments(durations).mean,
        { relative: 1e-15, absolute: 1e-280 },
      );
      assertValueFigures(figures, values);
    }),
  ));

test("an empty window counts nothing and tells nothing", () => {
  expect(WindowState.empty().figures()).toEqual({
    eventCount: 0,
    valueCount: 0,
    valueSum: null,
    valueMean: null,
    valueMin: null,
    valueMax: null,
    valueStddev: null,
    valueP50: null,
    valueP95: null,
    valueP99: null,
    distinctUsers: 0,
    revenueCents: 0n,
    durationCount: 0,
    durationMean: null,
    lateEvents: 0,
  });
});

test("figures of a hand-worked window", () => {
  const state = of([
    { userId: "ann", value: 2, amountCents: 1999, durationSeconds: 30, lateClass: 0 },
    { userId: "bob", value: -4, amountCents: null, durationSeconds: null, lateClass: 2 },
    { userId: "ann", value: null, amountCents: 1, durationSeconds: 60, lateClass: 0 },
    { userId: "cid", value: 8, amountCents: 0, durationSeconds: 0, lateClass: 4 },
  ]);
  const { valueStddev, ...figures } = state.figures();
  expect(figures).toEqual({
    eventCount: 4,
    valueCount: 3,
    valueSum: 6,
    valueMean: 2,
    valueMin: -4,
    valueMax: 8,
    valueP50: expect.closeTo(2, 1),
    valueP95: expect.closeTo(2, 1),
    valueP99: expect.closeTo(2, 1),
    distinctUsers: 3,
    revenueCents: 2000n,
    durationCount: 3,
    durationMean: 30,
    lateEvents: 2,
  });
  assertClose(valueStddev, 6, { relative: 1e-15 });
});

test("the quantiles of one value are that value", () => {
  for (const value of [19.99, -1e300, 0, 4e-10]) {
    const { valueP50, valueP95, valueP99 } = of([{ ...plainInput, value }]).figures();
    expect([valueP50, valueP95, valueP99]).toEqual([value, value, value]);
  }
});

test("an estimate of users never exceeds the events", () => {
  const state = WindowState.empty();
  for (let events = 1; events <= 2000; events++) {
    state.add({ ...plainInput, userId: `shop/${events}` });
    expect(state.figures().distinctUsers).toBeLessThanOrEqual(events);
  }
});

test.each([
  { value: Number.NaN },
  { value: Number.POSITIVE_INFINITY },
  { durationSeconds: -1 },
  { durationSeconds: Number.POSITIVE_INFINITY },
  { durationSeconds: Number.NaN },
  { amountCents: -1 },
  { amountCents: 0.5 },
  { amountCents: 1_000_000_000_000 },
])("%o is refused and leaves the state as it was", (wrong) => {
  const state = of([{ ...plainInput, value: 1 }]);
  const before = state.encode();
  expect(() => state.add({ ...plainInput, value: 2, ...wrong })).toThrow(
    expect.objectContaining({ name: "AppError", kind: "bug", code: "window.input_malformed" }),
  );
  expect(state.encode()).toEqual(before);
});

function assertValueFigures(
  figures: ReturnType<WindowState["figures"]>,
  sorted: readonly number[],
): void {
  if (sorted.length === 0) {
    expect([figures.valueSum, figures.valueMean, figures.valueMin]).toEqual([null, null, null]);
    return;
  }
  const exact = exactMoments(sorted);
  expect(figures.valueMin).toBe((sorted[0] as number) + 0);
  expect(figures.valueMax).toBe((sorted.at(-1) as number) + 0);
  const close = { relative: 1e-9, absolute: 1e-9 * exact.sumOfSizes };
  if (Math.abs(exact.sum) < 1e308) assertClose(figures.valueSum, exact.sum, close);
  assertClose(figures.valueMean, exact.mean, close);
  if (exact.stddev === null) expect(figures.valueStddev).toBe(null);
  else if (exact.stddev >= 1e-6 * Math.abs(exact.mean) && exact.stddev < 1e308) {
    assertClose(figures.valueStddev, exact.stddev, { relative: 1e-9, absolute: 1e-320 });
  }
  for (const [q, about] of [
    [0.5, figures.valueP50],
    [0.95, figures.valueP95],
    [0.99, figures.valueP99],
  ] as const) {
    const ranked = sorted[Math.floor(q * (sorted.length - 1))] as number;
    assertClose(about, ranked, { relative: 0.01, absolute: 1e-9 });
  }
}
