/**
 * Small numbers in few bytes: what the states of this package are written with and read from.
 *
 * Every value has one spelling, so equal states make equal bytes. Readers believe nothing: whatever
 * cannot have been written throws `window.state_damaged`.
 */
import { type AppError, bug } from "@headrace/kernel";

/** Big end first, so that a whole number's trailing zero bytes can be left out. */
const view = new DataView(new ArrayBuffer(8));

export class ByteWriter {
  length = 0;
  #bytes = new Uint8Array(512);

  byte(value: number): void {
    this.#reserve(1)[this.length++] = value;
  }

  /** A whole number from 0 to 2^53 - 1, seven bits a byte, least first: 1 to 8 bytes. */
  count(value: number): void {
    const bytes = this.#reserve(8);
    let at = this.length;
    let rest = value;
    for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 128;
    for (; rest > 127; rest >>>= 7) bytes[at++] = (rest & 127) | 128;
    bytes[at++] = rest;
    this.length = at;
  }

  /** A whole number of 53 bits that is spread evenly, such as a hash: always 7 bytes. */
  hash(value: number): void {
    const bytes = this.#reserve(7);
    const at = this.length;
    const high = Math.floor(value / 2 ** 32);
    bytes[at] = high >>> 16;
    bytes[at + 1] = high >>> 8;
    bytes[at + 2] = high;
    this.length = at + 3;
    this.word(value >>> 0);
  }

  /** 32 bits. */
  word(value: number): void {
    const bytes = this.#reserve(4);
    const at = this.length;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
    this.length = at + 4;
  }

  /** A finite double: how many of its bytes matter, then those. Small whole numbers take 2 or 3. */
  double(value: number): void {
    const bytes = this.#reserve(9);
    view.setFloat64(0, value);
    let size = 8;
    while (size > 0 && view.getUint8(size - 1) === 0) size--;
    const at = this.length;
    bytes[at] = size;
    for (let i = 0; i < size; i++) bytes[at + 1 + i] = view.getUint8(i);
    this.length = at + 1 + size;
  }

  /** Four numbers of 6 bits in each three bytes; `values` is a multiple of four long. */
  sixBits(values: Uint8Array): void {
    const bytes = this.#reserve((values.length / 4) * 3);
    let at = this.length;
    for (let i = 0; i < values.length; i += 4) {
      const [a, b] = [values[i] as number, values[i + 1] as number];
      const [c, d] = [values[i + 2] as number, values[i + 3] as number];
      bytes[at++] = (a << 2) | (b >> 4);
      bytes[at++] = (b << 4) | (c >> 2);
      bytes[at++] = (c << 6) | d;
    }
    this.length = at;
  }

  /** What was written since the last `clear`; valid until the next write. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
  }

  /** The bytes with room for `more` behind what is written. */
  #reserve(more: number): Uint8Array {
    if (this.length + more > this.#bytes.length) {
      const larger = new Uint8Array(2 * (this.length + more));
      larger.set(this.written());
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}

export class ByteReader {
  #at: number;
  readonly #end: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  byte(): number {
    if (this.#at >= this.#end) throw damaged("it ends too early");
    return this.#bytes[this.#at++] as number;
  }

  count(): number {
    const first = this.byte();
    if (first < 128) return first;
    let value = first - 128;
    for (let unit = 128; unit < 2 ** 56; unit *= 128) {
      const byte = this.byte();
      value += (byte & 127) * unit;
      if (byte < 128) {
        if (byte === 0 || value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    throw damaged("a count is malformed");
  }

  hash(): number {
    const high = (this.byte() << 16) | (this.byte() << 8) | this.byte();
    if (high >= 2 ** 21) throw damaged("a hash has more than 53 bits");
    return high * 2 ** 32 + this.word();
  }

  word(): number {
    const value = (this.byte() << 24) | (this.byte() << 16) | (this.byte() << 8) | this.byte();
    return value >>> 0;
  }

  double(): number {
    const size = this.byte();
    if (size > 8) throw damaged("a number is malformed");
    view.setUint32(0, 0);
    view.setUint32(4, 0);
    for (let i = 0; i < size; i++) view.setUint8(i, this.byte());
    const value = view.getFloat64(0);
    if (!Number.isFinite(value)) throw damaged("a number is not finite");
    return value;
  }

  sixBits(values: Uint8Array): void {
    const from = this.#at;
    const size = (values.length / 4) * 3;
    if (from + size > this.#end) throw damaged("it ends too early");
    const bytes = this.#bytes;
    for (let i = 0, at = from; i < values.length; i += 4, at += 3) {
      const word =
        ((bytes[at] as number) << 16) |
        ((bytes[at + 1] as number) << 8) |
        (bytes[at + 2] as number);
      values[i] = word >> 18;
      values[i + 1] = (word >> 12) & 63;
      values[i + 2] = (word >> 6) & 63;
      values[i + 3] = word & 63;
    }
    this.#at = from + size;
  }

  end(): void {
    if (this.#at !== this.#end) throw damaged("it is longer than what it holds");
  }
}

export function damaged(reason: string): AppError {
  return bug("window.state_damaged", `a stored window state cannot be read: ${reason}`);
}
