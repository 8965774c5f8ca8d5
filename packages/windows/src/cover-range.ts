/**
 * Covers a range of time with the fewest whole windows, so that a report over a day reads 24 rows
 * and not 8,640.
 *
 * Taking the largest window that starts here and fits is the fewest possible, because each size
 * divides the next: whatever else covers that window is made of smaller ones.
 */
import { bug } from "@headrace/kernel";
import { floorTo, WINDOW_MICROS, WINDOW_SIZES, type WindowSize } from "./assign.ts";

/** Whole windows of one size, one after another, from `from` up to but without `to` (both µs). */
export interface WindowRun {
  readonly size: WindowSize;
  readonly from: number;
  readonly to: number;
}

/**
 * Runs in order of time that cover [from, to) without gap or overlap; none when it is empty.
 * At most 7: up through the sizes and down again. Throws `window.range` unless both ends are
 * multiples of 10 s and `from` <= `to`.
 */
export function coverRange(from: number, to: number): WindowRun[] {
  const smallest = WINDOW_MICROS["10s"];
  if (!(from <= to && floorTo(from, smallest) === from && floorTo(to, smallest) === to)) {
    throw bug("window.range", `[${from}, ${to}) is no range of whole 10 s windows`);
  }
  const runs: WindowRun[] = [];
  for (let at = from; at < to; ) {
    const size = largestFitting(at, to);
    const end = Math.min(nextLarger(at, size), floorTo(to, WINDOW_MICROS[size]));
    const last = runs.at(-1);
    if (last?.size === size) runs[runs.length - 1] = { size, from: last.from, to: end };
    else runs.push({ size, from: at, to: end });
    at = end;
  }
  return runs;
}

function largestFitting(at: number, to: number): WindowSize {
  let fitting: WindowSize = "10s";
  for (const size of WINDOW_SIZES) {
    const micros = WINDOW_MICROS[size];
    if (floorTo(at, micros) === at && at + micros <= to) fitting = size;
  }
  return fitting;
}

/** Where a window of the next size starts after `at`: the first place at which to choose anew. */
function nextLarger(at: number, size: WindowSize): number {
  const larger = WINDOW_SIZES[WINDOW_SIZES.indexOf(size) + 1];
  if (larger === undefined) return Number.POSITIVE_INFINITY;
  return floorTo(at, WINDOW_MICROS[larger]) + WINDOW_MICROS[larger];
}
