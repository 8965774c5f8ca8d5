/**
 * A sum kept in two doubles, about 32 decimal digits: `hi` is the sum rounded to a double, `lo` what
 * the rounding left out.
 *
 * A sum is exact, hence the same bits in any order, while 106 bits reach from its total down to the
 * last bit of its smallest value, as for 10^14 prices; otherwise it errs by about n · 2^-104 of the
 * sum of magnitudes. A figure of 16 digits does not show in which order or groups the values came.
 *
 * Dekker (1971), "A floating-point technique for extending the available precision"; TwoSum after
 * Knuth, TAOCP 2, 4.2.2; the error bounds are those of Joldes, Muller and Popescu (2017), "Tight and
 * rigorous error bounds for basic building blocks of double-word arithmetic".
 * Nothing may overflow: who adds keeps magnitudes below 2^500 or so, otherwise NaN appears.
 */
import { type ByteReader, type ByteWriter, damaged } from "./bytes.ts";

export class DoubleDouble {
  hi: number;
  /** At most half a unit in the last place of `hi`. */
  lo: number;

  constructor(hi = 0, lo = 0) {
    this.hi = hi;
    this.lo = lo;
  }

  add(x: number): void {
    const hi = this.hi;
    const sum = hi + x;
    const part = sum - hi;
    this.#settle(sum, this.lo + (hi - (sum - part) + (x - part)));
  }

  /** Adds x · y, whose 106 bits are kept whole (Dekker's product with Veltkamp's splitting). */
  addProduct(x: number, y: number): void {
    const product = x * y;
    const shiftedX = x * SPLITTER;
    const topX = shiftedX - (shiftedX - x);
    const restX = x - topX;
    const shiftedY = y * SPLITTER;
    const topY = shiftedY - (shiftedY - y);
    const restY = y - topY;
    const lost = topX * topY - product + topX * restY + restX * topY + restX * restY;
    const hi = this.hi;
    const sum = hi + product;
    const part = sum - hi;
    this.#settle(sum, this.lo + (hi - (sum - part) + (product - part)) + lost);
  }

  /** Adds `other · scale`; `scale` is a power of two, so that it rounds nothing. */
  merge(other: DoubleDouble, scale = 1): void {
    const hi = this.hi;
    const x = other.hi * scale;
    const sum = hi + x;
    const part = sum - hi;
    const lost = hi - (sum - part) + (x - part);
    const lo = this.lo;
    const y = other.lo * scale;
    const lows = lo + y;
    const lowPart = lows - lo;
    const lowLost = lo - (lows - lowPart) + (y - lowPart);
    const v = lost + lows;
    const high = sum + v;
    this.#settle(high, lowLost + (v - (high - sum)));
  }

  /** This times a power of two. */
  scaled(power: number): DoubleDouble {
    return new DoubleDouble(this.hi * power, this.lo * power);
  }

  /** This minus `other`, rounded to a double. */
  minus(other: DoubleDouble): number {
    const difference = this.clone();
    difference.merge(other, -1);
    return difference.hi;
  }

  squared(): DoubleDouble {
    const result = new DoubleDouble();
    result.addProduct(this.hi, this.hi);
    result.add(2 * this.hi * this.lo);
    return result;
  }

  /** This divided by `divisor`, a whole number up to 2^53. */
  over(divisor: number): DoubleDouble {
    const quotient = this.hi / divisor;
    const rest = this.clone();
    rest.addProduct(-quotient, divisor);
    const result = new DoubleDouble(quotient);
    result.add(rest.hi / divisor);
    return result;
  }

  clone(): DoubleDouble {
    return new DoubleDouble(this.hi, this.lo);
  }

  write(to: ByteWriter): void {
    to.double(this.hi);
    to.double(this.lo);
  }

  static read(from: ByteReader): DoubleDouble {
    const state = new DoubleDouble(from.double(), from.double());
    if (state.hi + state.lo !== state.hi) throw damaged("the two halves of a sum overlap");
    return state;
  }

  /** Stores `sum + rest`, where |rest| is small beside |sum|, so that `hi` is their rounded sum. */
  #settle(sum: number, rest: number): void {
    const hi = sum + rest;
    this.hi = hi;
    this.lo = rest - (hi - sum);
  }
}

/** 2^27 + 1 cuts a double of 53 bits into two of 26, whose products are exact. */
const SPLITTER = 134_217_729;
