/**
 * The hash by which distinct users are counted: MurmurHash3_x86_128 (Appleby, public domain) of the
 * id's UTF-16 code units, low byte first, with seed 0. The first 53 bits are kept, so that a hash is
 * a JS number from 0 to 2^53 - 1. UTF-16 is how JS holds a string: UTF-8 would cost a conversion.
 *
 * Hashes are stored inside states: another hash would count every known user twice, so this one
 * never changes (`test/windows/hash.test.ts` holds values of the reference code). It spreads ids
 * evenly and is quick; it is not secret, and someone who picks the ids can make them collide.
 * Among a million users any two share a hash in about 1 of 18,000 cases.
 */
export function hashUserId(id: string): number {
  const length = id.length;
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  let at = 0;
  for (; at + 8 <= length; at += 8) {
    h1 ^= mix(pairAt(id, at), C1, 15, C2);
    h1 = (Math.imul(rotate(h1, 19) + h2, 5) + 0x561ccd1b) | 0;
    h2 ^= mix(pairAt(id, at + 2), C2, 16, C3);
    h2 = (Math.imul(rotate(h2, 17) + h3, 5) + 0x0bcaa747) | 0;
    h3 ^= mix(pairAt(id, at + 4), C3, 17, C4);
    h3 = (Math.imul(rotate(h3, 15) + h4, 5) + 0x96cd1c35) | 0;
    h4 ^= mix(pairAt(id, at + 6), C4, 18, C1);
    h4 = (Math.imul(rotate(h4, 13) + h1, 5) + 0x32ac3b17) | 0;
  }
  // What is left of the last block, as if followed by zeros.
  const left = length - at;
  if (left > 6) h4 ^= mix(id.charCodeAt(at + 6), C4, 18, C1);
  if (left > 4) h3 ^= mix(left > 5 ? pairAt(id, at + 4) : id.charCodeAt(at + 4), C3, 17, C4);
  if (left > 2) h2 ^= mix(left > 3 ? pairAt(id, at + 2) : id.charCodeAt(at + 2), C2, 16, C3);
  if (left > 0) h1 ^= mix(left > 1 ? pairAt(id, at) : id.charCodeAt(at), C1, 15, C2);

  const bytes = 2 * length;
  h1 ^= bytes;
  h2 ^= bytes;
  h3 ^= bytes;
  h4 ^= bytes;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = avalanche((h2 + h1) | 0);
  h3 = avalanche((h3 + h1) | 0);
  h4 = avalanche((h4 + h1) | 0);
  h1 = (avalanche(h1) + h2 + h3 + h4) | 0;
  return (h1 >>> 0) * 2 ** 21 + ((h2 + h1) >>> 11);
}

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** Two code units as 32 bits. */
function pairAt(text: string, at: number): number {
  return text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
}

/**
 * MurmurHash3_x86_32 with seed 0 of `bytes` up to `end`, 0 to 2^32 - 1. As a checksum it notices any
 * damage within four aligned bytes, because each of its steps can be undone, and all but one in four
 * thousand million of other damages.
 */
export function checksum(bytes: Uint8Array, end: number): number {
  let h = 0;
  let at = 0;
  for (; at + 4 <= end; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    h ^= mix(word, 0xcc9e2d51, 15, 0x1b873593);
    h = (Math.imul(rotate(h, 13), 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let i = end - 1; i >= at; i--) rest = (rest << 8) | (bytes[i] as number);
  return avalanche(h ^ mix(rest, 0xcc9e2d51, 15, 0x1b873593) ^ end) >>> 0;
}

function mix(word: number, before: number, turn: number, after: number): number {
  return Math.imul(rotate(Math.imul(word, before), turn), after);
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function avalanche(word: number): number {
  let h = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
