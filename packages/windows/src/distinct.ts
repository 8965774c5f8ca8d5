/**
 * How many different ids there were: exact up to 256, by HyperLogLog beyond.
 *
 * Up to 256 distinct hashes the state is their set, above that the registers of that set, so it
 * depends on which ids there were and on nothing else: a union of at most 256 is exact in whatever
 * order its parts met. Ids count by a hash of 53 bits: "exact" leaves out a chance of about
 * 4 · 10^-12 that two of 256 ids share one. It cannot forget an id.
 */
import { type ByteReader, type ByteWriter, damaged } from "./bytes.ts";
import { hashUserId } from "./hash.ts";
import { arePossible, estimate, observe, REGISTERS, unite } from "./hyperloglog.ts";
import type { Mergeable } from "./mergeable.ts";
import { firstNotBelow } from "./sorted.ts";

export class Distinct implements Mergeable<string, Distinct> {
  /** The hashes, ascending; empty once there are registers. */
  #hashes: number[] = [];
  #registers: Uint8Array | null = null;

  add(id: string): void {
    this.#addHash(hashUserId(id));
  }

  merge(other: Distinct): void {
    if (other.#registers !== null) {
      unite(this.#needRegisters(), other.#registers);
    } else if (
      this.#registers !== null ||
      other.#hashes.length * FEW_HASHES < this.#hashes.length
    ) {
      for (const hash of other.#hashes) this.#addHash(hash);
    } else {
      this.#hashes = union(this.#hashes, other.#hashes);
      if (this.#hashes.length > EXACT_LIMIT) this.#needRegisters();
    }
  }

  clone(): Distinct {
    const copy = new Distinct();
    copy.#hashes = this.#hashes.slice();
    copy.#registers = this.#registers?.slice() ?? null;
    return copy;
  }

  /** How many there were for certain. */
  get least(): number {
    return this.#registers === null ? this.#hashes.length : EXACT_LIMIT + 1;
  }

  /** Whether `count` is exact and not an estimate. */
  get exact(): boolean {
    return this.#registers === null;
  }

  /** How many different ids were added; a whole number. */
  count(): number {
    if (this.#registers === null) return this.#hashes.length;
    return Math.max(this.least, Math.round(estimate(this.#registers)));
  }

  write(to: ByteWriter): void {
    if (this.#registers !== null) {
      to.count(EXACT_LIMIT + 1);
      to.sixBits(this.#registers);
      return;
    }
    to.count(this.#hashes.length);
    for (const hash of this.#hashes) to.hash(hash);
  }

  static read(from: ByteReader): Distinct {
    const state = new Distinct();
    const length = from.count();
    if (length > EXACT_LIMIT) {
      if (length > EXACT_LIMIT + 1) throw damaged("it has too many hashes");
      state.#registers = new Uint8Array(REGISTERS);
      from.sixBits(state.#registers);
      if (!arePossible(state.#registers)) throw damaged("a register is out of range");
      return state;
    }
    let previous = -1;
    for (let i = 0; i < length; i++) {
      const hash = from.hash();
      if (hash <= previous) throw damaged("its hashes are not in order");
      state.#hashes.push(hash);
      previous = hash;
    }
    return state;
  }

  #addHash(hash: number): void {
    if (this.#registers !== null) {
      observe(this.#registers, hash);
      return;
    }
    const hashes = this.#hashes;
    const at = firstNotBelow(hashes, hash);
    if (hashes[at] === hash) return;
    for (let i = hashes.length; i > at; i--) hashes[i] = hashes[i - 1] as number;
    hashes[at] = hash;
    if (hashes.length > EXACT_LIMIT) this.#needRegisters();
  }

  #needRegisters(): Uint8Array {
    if (this.#registers !== null) return this.#registers;
    const registers = new Uint8Array(REGISTERS);
    for (const hash of this.#hashes) observe(registers, hash);
    this.#registers = registers;
    this.#hashes = [];
    return registers;
  }
}

/** Above this the set of hashes would take more room than half the registers do. */
const EXACT_LIMIT = 256;

/** From how many times fewer hashes on it is quicker to add them singly than to make a new array. */
const FEW_HASHES = 8;

function union(a: readonly number[], b: readonly number[]): number[] {
  const both: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const x = a[i] as number;
    const y = b[j] as number;
    both.push(Math.min(x, y));
    if (x <= y) i++;
    if (y <= x) j++;
  }
  while (i < a.length) both.push(a[i++] as number);
  while (j < b.length) both.push(b[j++] as number);
  return both;
}
