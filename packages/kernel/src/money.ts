/**
 * Money as integer cents, never a float. Safe integers reach 90 million million, far above the
 * largest amount that one event may carry; sums over many events are bigint.
 */
/** 9,999,999,999.99, the most that one amount may be. */
export const MAX_AMOUNT_CENTS = 999_999_999_999;

const DECIMAL = /^(\d{1,10})(?:\.(\d{1,2}))?$/;

/**
 * Cents of a decimal text (`"12"`, `"12.5"`, `"12.50"`), or undefined when it is none: a sign, an
 * exponent, a third decimal or an eleventh whole digit is refused rather than rounded.
 */
export function parseCents(text: string): number | undefined {
  const match = DECIMAL.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0"));
}

/** `1250` → `"12.50"`. */
export function formatCents(cents: number | bigint): string {
  const value = BigInt(cents);
  const digits = (value < 0n ? -value : value).toString().padStart(3, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
