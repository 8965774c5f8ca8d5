/**
 * Which partition a key belongs to, as Java's default partitioner has it, so that every program that
 * writes a topic puts one key in one place. (The client library's own partitioner takes the unsigned
 * hash where Java clears the sign bit, which differs for half of all keys.)
 */
const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** A partition in [0, count). `count` is at least 1. */
export function partitionOf(key: Uint8Array, count: number): number {
  return (murmur2(key) & 0x7fffffff) % count;
}

/** Austin Appleby's MurmurHash2 with Kafka's seed; a signed 32-bit number as in Java. */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  let hash = SEED ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let k = byte(data, at) | (byte(data, at + 1) << 8) | (byte(data, at + 2) << 16);
    k = Math.imul(k | (byte(data, at + 3) << 24), M);
    k = Math.imul(k ^ (k >>> 24), M);
    hash = Math.imul(hash, M) ^ k;
  }
  const left = length - at;
  if (left === 3) hash ^= byte(data, at + 2) << 16;
  if (left >= 2) hash ^= byte(data, at + 1) << 8;
  if (left >= 1) hash = Math.imul(hash ^ byte(data, at), M);
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}

function byte(data: Uint8Array, at: number): number {
  return data[at] ?? 0;
}
