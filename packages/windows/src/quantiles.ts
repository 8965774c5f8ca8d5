/**
 * Quantiles of a stream of numbers within 1 %, whatever their distribution: DDSketch (see
 * `log-bins.ts`) without a limit on its bins.
 *
 * The answer for q is within 1 % of the value of rank ⌊q(n-1)⌋, counted from 0 in ascending order,
 * also for negative values; values nearer to 0 than 1e-9 count as 0. A state is a function of the
 * multiset of its values alone, so order and grouping never show, and equal content makes equal
 * bytes. It grows with the number of bins in use: a hundred for values within one power of ten,
 * at most 5,600 for |v| from 1e-9 to 1e15, 73,781 for all doubles.
 */
import { type ByteReader, type ByteWriter, damaged } from "./bytes.ts";
import { binOf, LAST_BIN, middleOf } from "./log-bins.ts";
import type { Mergeable } from "./mergeable.ts";
import { firstNotBelow } from "./sorted.ts";

export class Quantiles implements Mergeable<number, Quantiles> {
  /** Bins in use, ascending. Sorted arrays beat a map here: most states hold a few bins. */
  #bins: number[] = [];
  /** How many values each of them holds, at least 1. */
  #counts: number[] = [];
  #total = 0;

  /** How many values were added. */
  get count(): number {
    return this.#total;
  }

  /** `value` is finite. */
  add(value: number): void {
    this.#addToBin(binOf(value), 1);
  }

  merge(other: Quantiles): void {
    if (other.#bins.length * FEW_BINS < this.#bins.length) {
      for (let i = 0; i < other.#bins.length; i++) {
        this.#addToBin(other.#bins[i] as number, other.#counts[i] as number);
      }
    } else {
      this.#interleave(other.#bins, other.#counts);
      this.#total += other.#total;
    }
  }

  clone(): Quantiles {
    const copy = new Quantiles();
    copy.#bins = this.#bins.slice();
    copy.#counts = this.#counts.slice();
    copy.#total = this.#total;
    return copy;
  }

  /** About the value of rank ⌊q(n-1)⌋, for q from 0 to 1; null when nothing was added. */
  quantile(q: number): number | null {
    const rank = Math.floor(q * (this.#total - 1));
    let below = 0;
    for (let i = 0; i < this.#bins.length; i++) {
      below += this.#counts[i] as number;
      if (below > rank) return middleOf(this.#bins[i] as number);
    }
    return null;
  }

  write(to: ByteWriter): void {
    to.count(this.#bins.length);
    let previous = -LAST_BIN - 1;
    for (let i = 0; i < this.#bins.length; i++) {
      const bin = this.#bins[i] as number;
      const count = this.#counts[i] as number;
      // Neighbouring bins and single values are the most frequent, and take one byte together.
      to.count(2 * (bin - previous - 1) + (count === 1 ? 0 : 1));
      if (count > 1) to.count(count - 2);
      previous = bin;
    }
  }

  static read(from: ByteReader): Quantiles {
    const state = new Quantiles();
    let bin = -LAST_BIN - 1;
    for (let left = from.count(); left > 0; left--) {
      const step = from.count();
      bin += Math.floor(step / 2) + 1;
      if (bin > LAST_BIN) throw damaged("a bin is out of range");
      const count = step % 2 === 0 ? 1 : from.count() + 2;
      state.#bins.push(bin);
      state.#counts.push(count);
      state.#total += count;
    }
    return state;
  }

  #addToBin(bin: number, count: number): void {
    const bins = this.#bins;
    const counts = this.#counts;
    this.#total += count;
    const at = firstNotBelow(bins, bin);
    if (bins[at] === bin) {
      counts[at] = (counts[at] as number) + count;
      return;
    }
    for (let i = bins.length; i > at; i--) {
      bins[i] = bins[i - 1] as number;
      counts[i] = counts[i - 1] as number;
    }
    bins[at] = bin;
    counts[at] = count;
  }

  #interleave(otherBins: readonly number[], otherCounts: readonly number[]): void {
    const bins: number[] = [];
    const counts: number[] = [];
    let mine = 0;
    let theirs = 0;
    while (mine < this.#bins.length || theirs < otherBins.length) {
      const a = this.#bins[mine] ?? LAST_BIN + 1;
      const b = otherBins[theirs] ?? LAST_BIN + 1;
      bins.push(Math.min(a, b));
      counts.push(
        (a <= b ? (this.#counts[mine++] as number) : 0) +
          (b <= a ? (otherCounts[theirs++] as number) : 0),
      );
    }
    this.#bins = bins;
    this.#counts = counts;
  }
}

/** From how many times fewer bins on it is quicker to add them one by one than to make new arrays. */
const FEW_BINS = 8;
