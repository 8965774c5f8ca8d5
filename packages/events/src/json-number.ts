/** Reads the text of a JSON number where a double would round it. */

/**
 * The decimal text of a JSON number that is an integer by value (`7`, `7.0`, `7e3`), every digit kept;
 * undefined for any other number, and where the text would be longer than `limit` characters.
 */
export function integerText(number: string, limit: number): string | undefined {
  if (number.length > MAX_LENGTH) return undefined;
  const { negative, digits, exponent } = decimalOf(number);
  if (digits === "") return "0";
  if (exponent < 0 || exponent > limit) return undefined;
  const text = (negative ? "-" : "") + digits + "0".repeat(exponent);
  return text.length <= limit ? text : undefined;
}

/** Nobody writes such a number in good faith; longer ones are not looked into. */
const MAX_LENGTH = 32_768;

/** Digits after the point that PostgreSQL's numeric can hold; also far more than an exponent needs. */
const MAX_SCALE = 16_383;

/**
 * Whether PostgreSQL can hold a JSON number both as numeric, which jsonb keeps it as, and as a double:
 * beyond 1.8e308 and below 5e-324 it cannot, and one such number would fail every later cast of its
 * column.
 */
export function fitsPostgres(number: string): boolean {
  const value = number.length > MAX_LENGTH ? Number.NaN : Number(number);
  if (!Number.isFinite(value)) return false;
  const { digits, scale } = decimalOf(number);
  return (value !== 0 || digits === "") && Math.abs(scale) <= MAX_SCALE;
}

interface Decimal {
  readonly negative: boolean;
  /** Without zeros at either end; empty for 0. */
  readonly digits: string;
  /** The value is `digits` times ten to this. */
  readonly exponent: number;
  /** Digits after the point as written, less the written exponent. */
  readonly scale: number;
}

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

function decimalOf(number: string): Decimal {
  const [, sign, whole = "", fraction = "", written = "0"] = NUMBER.exec(number) ?? [];
  const scale = fraction.length - Number(written);
  const all = whole + fraction;
  let end = all.length;
  while (end > 0 && all.charCodeAt(end - 1) === ZERO) end--;
  let start = 0;
  while (start < end && all.charCodeAt(start) === ZERO) start++;
  return {
    negative: sign === "-",
    digits: all.slice(start, end),
    exponent: all.length - end - scale,
    scale,
  };
}

const ZERO = 48;
