/**
 * Exact arithmetic on doubles, to hold the sums against: a double is a whole multiple of 2^-1074,
 * so sums and squares are whole numbers and nothing is rounded before the end.
 */
export interface ExactMoments {
  readonly sum: number;
  /** Of magnitudes. */
  readonly sumOfSizes: number;
  readonly mean: number;
  /** The sample's standard deviation; null below two values. */
  readonly stddev: number | null;
}

/** Infinity where a figure is beyond the doubles. `values` has at least one. */
export function exactMoments(values: readonly number[]): ExactMoments {
  const units = values.map(inUnits);
  const n = BigInt(values.length);
  const sum = units.reduce((a, b) => a + b, 0n);
  const squares = units.reduce((a, b) => a + b * b, 0n);
  const sizes = units.reduce((a, b) => a + (b < 0n ? -b : b), 0n);
  return {
    sum: quotient(sum, UNIT),
    sumOfSizes: quotient(sizes, UNIT),
    mean: quotient(sum, n * UNIT),
    stddev: n < 2n ? null : rootOfQuotient(n * squares - sum * sum, n * (n - 1n) * UNIT * UNIT),
  };
}

const UNIT = 1n << 1074n;

function inUnits(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponent = (bits >> 52n) & 0x7ffn;
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  const size = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
  return value < 0 ? -size : size;
}

/** `a / b` as a double, right to 2^-52; `b` is positive. */
export function quotient(a: bigint, b: bigint): number {
  if (a < 0n) return -quotient(-a, b);
  if (a === 0n) return 0;
  // 64 significant bits, then the power of two in two steps, so that neither leaves the range.
  const shift = 64 - (bitLength(a) - bitLength(b));
  const whole = shift >= 0 ? (a << BigInt(shift)) / b : a / (b << BigInt(-shift));
  const half = Math.trunc(shift / 2);
  return Number(whole) * 2 ** -half * 2 ** -(shift - half);
}

/** √(a / b) as a double, right to 2^-52; `a` is not negative, `b` positive. */
export function rootOfQuotient(a: bigint, b: bigint): number {
  if (a === 0n) return 0;
  const shift = 64 - Math.trunc((bitLength(a) - bitLength(b)) / 2);
  const square = shift >= 0 ? (a << BigInt(2 * shift)) / b : a / (b << BigInt(-2 * shift));
  const half = Math.trunc(shift / 2);
  return Number(root(square)) * 2 ** -half * 2 ** -(shift - half);
}

/** The whole part of √n, by Newton's iteration from above. */
function root(n: bigint): bigint {
  let x = 1n << BigInt(Math.ceil(bitLength(n) / 2) + 1);
  for (;;) {
    const next = (x + n / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}

function bitLength(n: bigint): number {
  return n.toString(2).length;
}
