/**
 * Count, sum, extremes and spread of a stream of numbers.
 *
 * Count, min and max are exact; the sum and the sum of squares hold 32 digits (double-double.ts), so
 * that the spread survives the cancellation in Σx² - (Σx)²/n: with a million values whose spread is
 * 10^-6 of their mean, 12 digits of 32 are lost and the standard deviation is right to 10^-13.
 * Plain doubles would keep none of them.
 *
 * Squares of doubles leave the range of doubles. Very large and very small magnitudes are therefore
 * summed apart, scaled by a power of two (Blue 1978, "A portable Fortran program to find the
 * Euclidean norm of a vector"). So a figure is null only if it is itself beyond the greatest double,
 * and an overflow on the way never makes the answer depend on the order of arrival.
 */
import { type ByteReader, type ByteWriter, damaged } from "./bytes.ts";
import { DoubleDouble } from "./double-double.ts";
import type { ExactTotal } from "./exact-total.ts";
import type { Mergeable } from "./mergeable.ts";

export class Moments implements Mergeable<number, Moments> {
  #count = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  /** Of magnitudes from 2^-400 to 2^400; null until there is one. Zeros need no sums. */
  #medium: PowerSums | null = null;
  /** Of larger ones, divided by 2^600. */
  #large: PowerSums | null = null;
  /** Of smaller ones, multiplied by 2^600. */
  #small: PowerSums | null = null;

  /** `value` is finite. */
  add(value: number): void {
    this.#count++;
    // An added 0 turns -0, which compares equal to 0 and would be kept or not by chance, into 0.
    if (value < this.#min) this.#min = value + 0;
    if (value > this.#max) this.#max = value + 0;
    const size = Math.abs(value);
    if (size > LARGE) {
      this.#large ??= new PowerSums();
      this.#large.add(value * DOWN);
    } else if (size >= SMALL) {
      this.#medium ??= new PowerSums();
      this.#medium.add(value);
    } else if (size > 0) {
      this.#small ??= new PowerSums();
      this.#small.add(value * UP);
    }
  }

  merge(other: Moments): void {
    this.#count += other.#count;
    if (other.#min < this.#min) this.#min = other.#min;
    if (other.#max > this.#max) this.#max = other.#max;
    this.#medium = merged(this.#medium, other.#medium);
    this.#large = merged(this.#large, other.#large);
    this.#small = merged(this.#small, other.#small);
  }

  clone(): Moments {
    const copy = new Moments();
    copy.merge(this);
    return copy;
  }

  get count(): number {
    return this.#count;
  }

  min(): number | null {
    return this.#count === 0 ? null : this.#min;
  }

  max(): number | null {
    return this.#count === 0 ? null : this.#max;
  }

  sum(): number | null {
    if (this.#count === 0) return null;
    const { sums, scale } = this.#atOneScale();
    return finite(sums.sum.hi * scale);
  }

  mean(): number | null {
    if (this.#count === 0) return null;
    const { sums, scale } = this.#atOneScale();
    return finite(sums.sum.over(this.#count).hi * scale);
  }

  /** The sample's standard deviation (divides by n - 1); null below two values. */
  stddev(): number | null {
    const n = this.#count;
    if (n < 2) return null;
    // What rounding leaves of equal values is not a spread.
    if (this.#min === this.#max) return 0;
    const { sums, scale } = this.#atOneScale();
    const distances = sums.squares.minus(sums.sum.squared().over(n));
    return finite(Math.sqrt(Math.max(0, distances) / (n - 1)) * scale);
  }

  /** Adds count and sum to `total`, as exactly as they are kept. */
  addTo(total: ExactTotal): void {
    total.addSum(0, this.#count);
    this.#medium?.addTo(total, 0);
    this.#large?.addTo(total, SCALE_BITS);
    this.#small?.addTo(total, -SCALE_BITS);
  }

  write(to: ByteWriter): void {
    to.count(this.#count);
    if (this.#count === 0) return;
    to.double(this.#min);
    // A single value is all there is to know.
    if (this.#count === 1) return;
    to.double(this.#max);
    to.byte((this.#medium ? 1 : 0) | (this.#large ? 2 : 0) | (this.#small ? 4 : 0));
    this.#medium?.write(to);
    this.#large?.write(to);
    this.#small?.write(to);
  }

  static read(from: ByteReader): Moments {
    const state = new Moments();
    const count = from.count();
    if (count === 0) return state;
    const min = from.double();
    if (count === 1) {
      state.add(min);
      return state;
    }
    state.#count = count;
    state.#min = min;
    state.#max = from.double();
    if (state.#max < min) throw damaged("its extremes are the wrong way round");
    const parts = from.byte();
    if (parts > 7) throw damaged("it has sums of an unknown kind");
    if (parts & 1) state.#medium = PowerSums.read(from);
    if (parts & 2) state.#large = PowerSums.read(from);
    if (parts & 4) state.#small = PowerSums.read(from);
    return state;
  }

  /**
   * All sums at the scale of the largest magnitude. What that loses of smaller ones lies far below
   * the last digit of the sum of magnitudes.
   */
  #atOneScale(): { readonly sums: PowerSums; readonly scale: number } {
    const sums = new PowerSums();
    if (this.#large) {
      sums.merge(this.#large);
      if (this.#medium) sums.merge(this.#medium, DOWN);
      return { sums, scale: UP };
    }
    if (this.#medium) {
      sums.merge(this.#medium);
      if (this.#small) sums.merge(this.#small, DOWN);
      return { sums, scale: 1 };
    }
    if (this.#small) sums.merge(this.#small);
    return { sums, scale: DOWN };
  }
}

const LARGE = 2 ** 400;
const SMALL = 2 ** -400;
const SCALE_BITS = 600;
const UP = 2 ** SCALE_BITS;
const DOWN = 2 ** -SCALE_BITS;

class PowerSums {
  readonly sum = new DoubleDouble();
  readonly squares = new DoubleDouble();

  add(x: number): void {
    this.sum.add(x);
    this.squares.addProduct(x, x);
  }

  /** Adds sums of values that were each `scale` times smaller; a power of two. */
  merge(other: PowerSums, scale = 1): void {
    this.sum.merge(other.sum, scale);
    // In two steps, because the square of the scale would be 0.
    this.squares.merge(other.squares.scaled(scale), scale);
  }

  /** Adds the sum, times 2^`exponent`, to `total`. */
  addTo(total: ExactTotal, exponent: number): void {
    total.addSum(this.sum.hi, 0, exponent);
    total.addSum(this.sum.lo, 0, exponent);
  }

  write(to: ByteWriter): void {
    this.sum.write(to);
    this.squares.write(to);
  }

  static read(from: ByteReader): PowerSums {
    const state = new PowerSums();
    state.sum.merge(DoubleDouble.read(from));
    state.squares.merge(DoubleDouble.read(from));
    return state;
  }
}

function merged(mine: PowerSums | null, theirs: PowerSums | null): PowerSums | null {
  if (theirs === null) return mine;
  const sums = mine ?? new PowerSums();
  sums.merge(theirs);
  return sums;
}

function finite(figure: number): number | null {
  return Number.isFinite(figure) ? figure + 0 : null;
}
