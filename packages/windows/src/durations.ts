/**
 * Count and sum of durations in seconds, finite and at least 0, to 32 digits.
 *
 * The sum is kept divided by 2^64, so that no number of doubles overflows it; what that loses of a
 * duration below 10^-290 s is lost knowingly.
 */
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { DoubleDouble } from "./double-double.ts";
import type { Mergeable } from "./mergeable.ts";

export class Durations implements Mergeable<number, Durations> {
  #count: number;
  readonly #scaled: DoubleDouble;

  constructor(count = 0, scaled = new DoubleDouble()) {
    this.#count = count;
    this.#scaled = scaled;
  }

  get count(): number {
    return this.#count;
  }

  add(seconds: number): void {
    this.#count++;
    this.#scaled.add(seconds * SCALE);
  }

  merge(other: Durations): void {
    this.#count += other.#count;
    this.#scaled.merge(other.#scaled);
  }

  clone(): Durations {
    return new Durations(this.#count, this.#scaled.clone());
  }

  mean(): number | null {
    if (this.#count === 0) return null;
    const mean = this.#scaled.over(this.#count).hi / SCALE;
    return Number.isFinite(mean) ? mean : null;
  }

  write(to: ByteWriter): void {
    to.count(this.#count);
    this.#scaled.write(to);
  }

  static read(from: ByteReader): Durations {
    return new Durations(from.count(), DoubleDouble.read(from));
  }
}

const SCALE = 2 ** -64;
