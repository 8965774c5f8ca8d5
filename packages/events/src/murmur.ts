/**
 * MurmurHash3_x86_128 (Austin Appleby, public domain), seed 0: 128 well mixed bits in a fraction of a
 * microsecond, where a cryptographic hash in plain JavaScript takes several. It resists chance, not
 * malice: use it only where someone who makes two inputs collide gains nothing.
 */

/** Four unsigned words of 32 bits. */
export type Hash128 = readonly [number, number, number, number];

/** The hash of the first `length` bytes. */
export function murmur128(bytes: Uint8Array, length: number = bytes.length): Hash128 {
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  const tail = length - (length % 16);
  for (let at = 0; at < tail; at += 16) {
    h1 ^= scramble(word(bytes, at), C1, 15, C2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= scramble(word(bytes, at + 4), C2, 16, C3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= scramble(word(bytes, at + 8), C3, 17, C4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= scramble(word(bytes, at + 12), C4, 18, C1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  h1 ^= scramble(wordOfTail(bytes, tail, length), C1, 15, C2) ^ length;
  h2 ^= scramble(wordOfTail(bytes, tail + 4, length), C2, 16, C3) ^ length;
  h3 ^= scramble(wordOfTail(bytes, tail + 8, length), C3, 17, C4) ^ length;
  h4 ^= scramble(wordOfTail(bytes, tail + 12, length), C4, 18, C1) ^ length;

  h1 = (h1 + h2 + h3 + h4) | 0;
  const f1 = avalanche(h1);
  const f2 = avalanche((h2 + h1) | 0);
  const f3 = avalanche((h3 + h1) | 0);
  const f4 = avalanche((h4 + h1) | 0);
  const sum = (f1 + f2 + f3 + f4) | 0;
  return [sum >>> 0, (f2 + sum) >>> 0, (f3 + sum) >>> 0, (f4 + sum) >>> 0];
}

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

function scramble(value: number, first: number, turn: number, second: number): number {
  return Math.imul(rotate(Math.imul(value, first), turn), second);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function avalanche(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** As `word`, with zeros for what lies past the end. */
function wordOfTail(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let n = 0; n < 4 && at + n < length; n++) value |= (bytes[at + n] as number) << (8 * n);
  return value;
}
