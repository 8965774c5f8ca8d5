/**
 * Puts the checksum of a stored window state behind bytes of a test's own making, so that what
 * `decode` checks besides it can be reached. MurmurHash3_x86_32, written down a second time from its
 * description and held against the published value of "hello, world" in `state-bytes.test.ts`.
 */
export function sealed(body: readonly number[]): Buffer {
  const hash = Buffer.alloc(4);
  hash.writeUInt32BE(murmur32(Buffer.from(body)));
  return Buffer.concat([Buffer.from(body), hash]);
}

export function murmur32(bytes: Buffer): number {
  const padded = Buffer.concat([bytes, Buffer.alloc(4)]);
  const blocks = Math.floor(bytes.length / 4);
  let h = 0;
  for (let block = 0; block <= blocks; block++) {
    let k = Math.imul(padded.readUInt32LE(4 * block), 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    h ^= k;
    // The last, incomplete block only joins in.
    if (block < blocks) h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64;
  }
  h ^= bytes.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
