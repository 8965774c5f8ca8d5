/** A sum of cents that stays exact past 2^53 and costs no bigint while it grows. */
import { type ByteReader, type ByteWriter, damaged } from "./bytes.ts";
import type { Mergeable } from "./mergeable.ts";

export class Revenue implements Mergeable<number, Revenue> {
  /** The sum is `high · UNIT + low`, with `low` below `UNIT`. */
  #low = 0;
  #high = 0;

  /** `cents` is a whole number from 0 to `MAX_AMOUNT_CENTS`. */
  add(cents: number): void {
    this.#carry(this.#low + cents);
  }

  merge(other: Revenue): void {
    this.#high += other.#high;
    this.#carry(this.#low + other.#low);
  }

  clone(): Revenue {
    const copy = new Revenue();
    copy.merge(this);
    return copy;
  }

  cents(): bigint {
    return BigInt(this.#high) * BigInt(UNIT) + BigInt(this.#low);
  }

  write(to: ByteWriter): void {
    to.count(this.#low);
    to.count(this.#high);
  }

  static read(from: ByteReader): Revenue {
    const state = new Revenue();
    state.#low = from.count();
    state.#high = from.count();
    if (state.#low >= UNIT) throw damaged("its cents are out of range");
    return state;
  }

  /** `low` is below twice `UNIT`. */
  #carry(low: number): void {
    this.#low = low < UNIT ? low : low - UNIT;
    if (low >= UNIT) this.#high++;
  }
}

/** Two numbers below it add up to less than 2^53, hence without rounding. */
const UNIT = 2 ** 52;
