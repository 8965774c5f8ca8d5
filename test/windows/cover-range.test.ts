import { coverRange, WINDOW_MICROS, WINDOW_SIZES } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";

const TEN_SECONDS = WINDOW_MICROS["10s"];
const micros = (text: string): number => Date.parse(text) * 1000;

test("a range is climbed up to the largest windows and down again", () => {
  const [from, to] = [micros("2026-03-28T22:58:40Z"), micros("2026-03-31T01:02:20Z")];
  expect(coverRange(from, to)).toEqual([
    { size: "10s", from, to: micros("2026-03-28T22:59:00Z") },
    { size: "1m", from: micros("2026-03-28T22:59:00Z"), to: micros("2026-03-28T23:00:00Z") },
    { size: "1h", from: micros("2026-03-28T23:00:00Z"), to: micros("2026-03-29T00:00:00Z") },
    { size: "1d", from: micros("2026-03-29T00:00:00Z"), to: micros("2026-03-31T00:00:00Z") },
    { size: "1h", from: micros("2026-03-31T00:00:00Z"), to: micros("2026-03-31T01:00:00Z") },
    { size: "1m", from: micros("2026-03-31T01:00:00Z"), to: micros("2026-03-31T01:02:00Z") },
    { size: "10s", from: micros("2026-03-31T01:02:00Z"), to },
  ]);
});

test("a range across a boundary that holds no larger window stays one run", () => {
  const from = micros("2026-03-28T22:59:40Z");
  expect(coverRange(from, from + 40e6)).toEqual([{ size: "10s", from, to: from + 40e6 }]);
  expect(coverRange(from, from)).toEqual([]);
});

test("runs cover the range without gap or overlap, aligned, by the fewest windows", () =>
  fc.assert(
    fc.property(
      fc.integer({ min: -30_000, max: 30_000 }),
      fc.oneof(fc.nat(400), fc.nat(40_000)),
      (start, length) => {
        const [from, to] = [start * TEN_SECONDS, (start + length) * TEN_SECONDS];
        const runs = coverRange(from, to);
        let at = from;
        let windows = 0;
        for (const run of runs) {
          const micros = WINDOW_MICROS[run.size];
          expect(run.from).toBe(at);
          expect(run.to).toBeGreaterThan(run.from);
          expect([Math.abs(run.from % micros), Math.abs(run.to % micros)]).toEqual([0, 0]);
          windows += (run.to - run.from) / micros;
          at = run.to;
        }
        expect(at).toBe(to);
        expect(runs.length).toBeLessThanOrEqual(7);
        expect(runs.every((run, i) => run.size !== runs[i + 1]?.size)).toBe(true);
        expect(windows).toBe(fewestWindows(start, start + length));
      },
    ),
  ));

test.each([
  [5_000_000, 10_000_000],
  [0, 10_000_001],
  [20_000_000, 10_000_000],
  [Number.NaN, 10_000_000],
  [0, Number.POSITIVE_INFINITY],
])("[%d, %d) is refused by name", (from, to) => {
  expect(() => coverRange(from, to)).toThrow(
    expect.objectContaining({ name: "AppError", kind: "bug", code: "window.range" }),
  );
});

/** The fewest by trying every way, in units of 10 s: the shortest path from one end to the other. */
function fewestWindows(from: number, to: number): number {
  const lengths = WINDOW_SIZES.map((size) => WINDOW_MICROS[size] / TEN_SECONDS);
  const fewest = new Array<number>(to - from + 1).fill(Number.POSITIVE_INFINITY);
  fewest[0] = 0;
  for (let at = from; at < to; at++) {
    for (const length of lengths) {
      const end = at - from + length;
      if (at % length === 0 && end < fewest.length) {
        fewest[end] = Math.min(fewest[end] as number, (fewest[at - from] as number) + 1);
      }
    }
  }
  return fewest[to - from] as number;
}
