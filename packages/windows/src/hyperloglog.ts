/**
 * HyperLogLog with 4,096 registers: the number of distinct hashes among arbitrarily many, in 3 KiB,
 * with a standard error of 1.04 / √4096 = 1.6 %.
 *
 * Registers after Flajolet, Fusy, Gandouet and Meunier (2007), "HyperLogLog: the analysis of a
 * near-optimal cardinality estimation algorithm"; the estimate is the improved raw estimator of
 * Ertl (2017), "New cardinality estimation algorithms for HyperLogLog sketches", section 4, which
 * needs no table of corrections and is unbiased from small numbers to large ones.
 * A register array is a function of the set of hashes, so order and grouping never show.
 */
export const REGISTERS = 4096;

/** Of a hash's 53 bits, 12 choose the register and 41 give its value. */
const VALUE_BITS = 41;
const MAX_REGISTER = VALUE_BITS + 1;

/** Raises the register of `hash` (a whole number of 53 bits) to one more than its leading zeros. */
export function observe(registers: Uint8Array, hash: number): void {
  const high = Math.floor(hash / 2 ** 32);
  const first9 = high & 0x1ff;
  const value = first9 === 0 ? Math.clz32(hash >>> 0) + 10 : Math.clz32(first9) - 22;
  const register = high >>> 9;
  if ((registers[register] as number) < value) registers[register] = value;
}

/** Raises each register of `into` to that of `from`: the registers of the union. */
export function unite(into: Uint8Array, from: Uint8Array): void {
  for (let i = 0; i < into.length; i++) {
    const value = from[i] as number;
    if ((into[i] as number) < value) into[i] = value;
  }
}

/** Whether no register exceeds what a hash can raise it to. */
export function arePossible(registers: Uint8Array): boolean {
  let greatest = 0;
  for (let i = 0; i < registers.length; i++) greatest = Math.max(greatest, registers[i] as number);
  return greatest <= MAX_REGISTER;
}

/** About how many distinct hashes were observed; not rounded. */
export function estimate(registers: Uint8Array): number {
  const histogram = new Int32Array(MAX_REGISTER + 1);
  for (let i = 0; i < registers.length; i++) {
    const value = registers[i] as number;
    histogram[value] = (histogram[value] as number) + 1;
  }
  let z = REGISTERS * tau(1 - (histogram[MAX_REGISTER] as number) / REGISTERS);
  for (let value = VALUE_BITS; value >= 1; value--) {
    z = 0.5 * (z + (histogram[value] as number));
  }
  z += REGISTERS * sigma((histogram[0] as number) / REGISTERS);
  return (REGISTERS * REGISTERS) / (2 * Math.LN2 * z);
}

/** Ertl's σ: what registers that are still 0 stand for. Infinite at 1, when all of them are. */
function sigma(share: number): number {
  if (share === 1) return Number.POSITIVE_INFINITY;
  let x = share;
  let y = 1;
  let z = share;
  for (let before = -1; z !== before; ) {
    before = z;
    x *= x;
    z += x * y;
    y += y;
  }
  return z;
}

/** Ertl's τ: what registers that have reached their maximum stand for. */
function tau(share: number): number {
  if (share === 0 || share === 1) return 0;
  let x = share;
  let y = 1;
  let z = 1 - share;
  for (let before = -1; z !== before; ) {
    before = z;
    x = Math.sqrt(x);
    y *= 0.5;
    z -= (1 - x) ** 2 * y;
  }
  return z / 3;
}
