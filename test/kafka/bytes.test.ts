import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteReader, varintSize, writeVarint } from "../../packages/kafka/src/bytes.ts";

/** Protocol Buffers' zigzag varint of 64 bits, digit by digit. */
function zigzag64(value: bigint): Buffer {
  let left = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  const bytes: number[] = [];
  for (; left >= 128n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  return Buffer.from([...bytes, Number(left)]);
}

test("numbers are read as they were written, up to 2^52", () => {
  const some = fc.oneof(
    fc.integer(),
    fc.integer({ min: -(2 ** 52), max: 2 ** 52 - 1 }),
    fc.constantFrom(0, -1, 63, 64, -64, -65),
  );
  fc.assert(
    fc.property(fc.array(some, { minLength: 1 }), (values) => {
      const reader = new ByteReader(Buffer.concat(values.map((one) => zigzag64(BigInt(one)))));
      for (const value of values) expect(reader.varint() - value).toBe(0);
      expect(reader.at).toBe(reader.buffer.length);
    }),
  );
});

test("32-bit numbers are written in as many bytes as announced", () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      const target = Buffer.alloc(5);
      const end = writeVarint(target, 0, value);
      expect(target.subarray(0, end)).toEqual(zigzag64(BigInt(value)));
      expect(varintSize(value)).toBe(end);
    }),
  );
});

test("64-bit offsets and ids are read whole", () => {
  const bytes = Buffer.alloc(24);
  bytes.writeBigInt64BE(BigInt(Number.MAX_SAFE_INTEGER), 0);
  bytes.writeBigInt64BE(-1n, 8);
  bytes.writeBigInt64BE(4_294_967_296n, 16);
  const reader = new ByteReader(bytes);
  expect([reader.int64(), reader.int64(), reader.int64()]).toEqual([
    Number.MAX_SAFE_INTEGER,
    -1,
    4_294_967_296,
  ]);
});
