/**
 * Count and sum of a stream of numbers from which numbers may also be taken away again.
 *
 * Doubles are whole multiples of powers of two, so the sum is kept as a whole number of the smallest
 * one met, as long as it needs to be: nothing is rounded before a figure is read, and what goes leaves
 * nothing behind. In a sum of doubles a 1e300 that came and went would leave an error of 1e284.
 */
import type { Mergeable } from "./mergeable.ts";

export class ExactTotal implements Mergeable<number, ExactTotal> {
  #count = 0;
  /** The sum is this times 2^exponent. */
  #units = 0n;
  #exponent = GREATEST_EXPONENT;

  /** `value` is finite. */
  add(value: number): void {
    this.addSum(value, 1);
  }

  /** Takes away a value that was added before. */
  remove(value: number): void {
    this.addSum(-value, -1);
  }

  /** Adds `count` values whose sum is `sum` times 2^`exponent`. */
  addSum(sum: number, count: number, exponent = 0): void {
    this.#count += count;
    if (sum === 0) return;
    view.setFloat64(0, sum);
    const high = view.getUint32(0);
    const biased = (high >>> 20) & 0x7ff;
    const fraction = (high & 0xf_ffff) * 2 ** 32 + view.getUint32(4);
    const units = biased === 0 ? fraction : fraction + 2 ** 52;
    this.#addUnits(BigInt(sum < 0 ? -units : units), Math.max(biased, 1) - 1075 + exponent);
  }

  merge(other: ExactTotal): void {
    this.#count += other.#count;
    this.#addUnits(other.#units, other.#exponent);
  }

  /** Takes away what was merged before. */
  subtract(other: ExactTotal): void {
    this.#count -= other.#count;
    this.#addUnits(-other.#units, other.#exponent);
  }

  clone(): ExactTotal {
    const copy = new ExactTotal();
    copy.merge(this);
    return copy;
  }

  get count(): number {
    return this.#count;
  }

  /** The double nearest to the sum; null without values and beyond the range of doubles. */
  sum(): number | null {
    return this.#count === 0 ? null : nearest(this.#units, 1n, this.#exponent);
  }

  mean(): number | null {
    return this.#count === 0 ? null : nearest(this.#units, BigInt(this.#count), this.#exponent);
  }

  #addUnits(units: bigint, exponent: number): void {
    if (exponent < this.#exponent) {
      this.#units <<= BigInt(this.#exponent - exponent);
      this.#exponent = exponent;
    }
    this.#units += units << BigInt(exponent - this.#exponent);
  }
}

/** Of the greatest doubles' last bit. */
const GREATEST_EXPONENT = 971;

const view = new DataView(new ArrayBuffer(8));

/** `units` / `divisor` · 2^exponent as a double. */
function nearest(units: bigint, divisor: bigint, exponent: number): number | null {
  if (units === 0n) return 0;
  const size = units < 0n ? -units : units;
  // At least 64 bits of the quotient, and in the last one whether anything follows: rounded once.
  const shift = BigInt(KEPT_BITS - bitLength(size) + bitLength(divisor));
  const dividend = shift < 0n ? size : size << shift;
  const scaledDivisor = shift < 0n ? divisor << -shift : divisor;
  const quotient = dividend / scaledDivisor;
  const sticky = quotient * scaledDivisor === dividend ? 0n : 1n;
  // In two steps, so that neither power leaves the range of doubles.
  const power = exponent - Number(shift);
  const half = Math.trunc(power / 2);
  const magnitude = Number(quotient | sticky) * 2 ** half * 2 ** (power - half);
  if (!Number.isFinite(magnitude)) return null;
  return units < 0n ? -magnitude + 0 : magnitude;
}

const KEPT_BITS = 72;

/** To within 3 bits. */
const bitLength = (size: bigint): number => 4 * size.toString(16).length;
