/** Comparison of computed numbers, with the tolerance said at the call. */
import { expect } from "vitest";

export interface Tolerance {
  /** Of the expected number's magnitude. */
  readonly relative?: number;
  readonly absolute?: number;
}

/** Passes when `actual` is within either tolerance of `expected`, or both are null. */
export function assertClose(
  actual: number | null,
  expected: number | null,
  { relative = 0, absolute = 0 }: Tolerance,
): void {
  if (actual === null || expected === null) {
    expect(actual).toBe(expected);
    return;
  }
  const allowed = Math.max(absolute, relative * Math.abs(expected));
  const apart = Math.abs(actual - expected);
  // Not `apart > allowed`, which lets NaN pass.
  if (!(apart <= allowed)) {
    expect.fail(`${actual} is ${apart} away from ${expected}, allowed is ${allowed}`);
  }
}
