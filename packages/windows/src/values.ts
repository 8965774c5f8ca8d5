/** What is kept of an event's `value`: exact moments and approximate quantiles of the same numbers. */
import { type ByteReader, type ByteWriter, damaged } from "./bytes.ts";
import type { Mergeable } from "./mergeable.ts";
import { Moments } from "./moments.ts";
import { Quantiles } from "./quantiles.ts";

export class Values implements Mergeable<number, Values> {
  readonly moments: Moments;
  /** Of exactly the values in `moments`. */
  readonly #quantiles: Quantiles;

  constructor(moments = new Moments(), quantiles = new Quantiles()) {
    this.moments = moments;
    this.#quantiles = quantiles;
  }

  /** `value` is finite. */
  add(value: number): void {
    this.moments.add(value);
    this.#quantiles.add(value);
  }

  merge(other: Values): void {
    this.moments.merge(other.moments);
    this.#quantiles.merge(other.#quantiles);
  }

  clone(): Values {
    return new Values(this.moments.clone(), this.#quantiles.clone());
  }

  /** As `Quantiles.quantile`, but never outside the exact extremes, which is only nearer the truth. */
  quantile(q: number): number | null {
    const about = this.#quantiles.quantile(q);
    const [min, max] = [this.moments.min(), this.moments.max()];
    if (about === null || min === null || max === null) return null;
    return Math.min(Math.max(about, min), max);
  }

  write(to: ByteWriter): void {
    this.moments.write(to);
    // The bin of a single value follows from it.
    if (this.moments.count > 1) this.#quantiles.write(to);
  }

  static read(from: ByteReader): Values {
    const moments = Moments.read(from);
    if (moments.count === 0) throw damaged("it has values and none of them");
    const only = moments.count === 1 ? moments.min() : null;
    const quantiles = only === null ? Quantiles.read(from) : new Quantiles();
    if (only !== null) quantiles.add(only);
    if (quantiles.count !== moments.count) throw damaged("its bins hold another number of values");
    return new Values(moments, quantiles);
  }
}
