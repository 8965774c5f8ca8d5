/**
 * Many window states in one column: each behind its length in 32 bits, as
 * `string_agg(int4send(length(state)) || state, ''::bytea)` makes them. The driver takes ten times
 * as long for an array of bytes, and a row of its own costs more than decoding a small state.
 */
export function* unpackStates(packed: Buffer): Generator<Buffer, void> {
  for (let at = 0; at < packed.length; ) {
    const begin = at + LENGTH_BYTES;
    at = begin + packed.readUInt32BE(at);
    yield packed.subarray(begin, at);
  }
}

const LENGTH_BYTES = 4;
