/**
 * RFC 3339 instants, read by character codes: the ingest path reads one per event, and `Date` keeps
 * milliseconds only. Exact to the microsecond; further digits are cut, not rounded.
 */
export interface Instant {
  /** Microseconds since 1970-01-01T00:00Z: exact in the years 1684 to 2255, beyond them the nearest double. */
  readonly micros: number;
  /** The same instant in UTC with at most 6 digits of a second, as PostgreSQL reads it exactly. */
  readonly text: string;
}

/**
 * The instant that an RFC 3339 text names, or undefined when it names none: an offset (`Z`, `+02:00`)
 * is required, the day must exist, a leap second (`:60`) is refused because nothing later could hold
 * it, and the instant must lie in the years 0001 to 9999 of UTC.
 */
export function parseInstant(text: string): Instant | undefined {
  return readInstant(Buffer.from(text), text);
}

/** `parseInstant` where the bytes of `text` are at hand, from `start` on, as they are or in UTF-8. */
export function readInstant(bytes: Uint8Array, text: string, start = 0): Instant | undefined {
  if (text.length < 20 || !hasSeparators(bytes, start)) return undefined;
  const year = twoDigits(bytes, start) * 100 + twoDigits(bytes, start + 2);
  const month = twoDigits(bytes, start + 5);
  const day = twoDigits(bytes, start + 8);
  const hour = twoDigits(bytes, start + 11);
  const minute = twoDigits(bytes, start + 14);
  const second = twoDigits(bytes, start + 17);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month))
    return undefined;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
    return undefined;

  const end = start + text.length;
  const digits = fractionDigits(bytes, start + SECONDS_END, end);
  const zoneStart = start + SECONDS_END + (digits < 0 ? 0 : digits + 1);
  const offset = offsetMinutes(bytes, zoneStart, end);
  if (digits === 0 || offset === undefined) return undefined;
  const days = daysSinceEpoch(year, month, day);
  const seconds = days * 86_400 + (hour * 60 + minute - offset) * 60 + second;
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) return undefined;

  const kept = Math.min(digits, 6);
  const isCanonical =
    digits === kept && bytes[zoneStart] === UPPER_Z && bytes[start + 10] === UPPER_T;
  return {
    micros: seconds * 1e6 + fractionMicros(bytes, start + SECONDS_END + 1, kept),
    text: isCanonical
      ? text
      : canonicalText(seconds, text.slice(SECONDS_END, SECONDS_END + 1 + kept)),
  };
}

/** Where the seconds' two digits end and a fraction may begin. */
const SECONDS_END = 19;
const FIRST_SECOND = -62_135_596_800; // 0001-01-01T00:00:00Z
const LAST_SECOND = 253_402_300_799; // 9999-12-31T23:59:59Z

const PLUS = 43;
const DASH = 45;
const DOT = 46;
const COLON = 58;
const UPPER_T = 84;
const UPPER_Z = 90;
const LOWER_CASE_BIT = 32;

function hasSeparators(bytes: Uint8Array, start: number): boolean {
  return (
    bytes[start + 4] === DASH &&
    bytes[start + 7] === DASH &&
    ((bytes[start + 10] as number) & ~LOWER_CASE_BIT) === UPPER_T &&
    bytes[start + 13] === COLON &&
    bytes[start + 16] === COLON
  );
}

/** The number of the two digits at `at`; where there are none, below 0 and so is any sum with it. */
function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = (bytes[at] as number) - 48;
  const ones = (bytes[at + 1] as number) - 48;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1e6;
}

/** How many digits follow the point at `at`; -1 where there is no point. */
function fractionDigits(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] !== DOT) return -1;
  let next = at + 1;
  while (next < end && (bytes[next] as number) >= 48 && (bytes[next] as number) <= 57) next++;
  return next - at - 1;
}

/** The first `digits` digits of a fraction as microseconds. */
function fractionMicros(bytes: Uint8Array, at: number, digits: number): number {
  let micros = 0;
  for (let n = 0; n < 6; n++)
    micros = micros * 10 + (n < digits ? (bytes[at + n] as number) - 48 : 0);
  return micros;
}

/** Minutes east of Greenwich, which is all that may stand between `at` and the end. */
function offsetMinutes(bytes: Uint8Array, at: number, end: number): number | undefined {
  const sign = at < end ? (bytes[at] as number) : 0;
  if ((sign & ~LOWER_CASE_BIT) === UPPER_Z) return at + 1 === end ? 0 : undefined;
  if (at + 6 !== end || (sign !== PLUS && sign !== DASH) || bytes[at + 3] !== COLON)
    return undefined;
  const hours = twoDigits(bytes, at + 1);
  const minutes = twoDigits(bytes, at + 4);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return undefined;
  return sign === DASH ? -(hours * 60 + minutes) : hours * 60 + minutes;
}

function canonicalText(seconds: number, fraction: string): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction}Z`;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar, years counted from March so that the leap day is last. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const shifted = month > 2 ? year : year - 1;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const leapDays = Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400);
  return shifted * 365 + leapDays + dayOfYear - 719_468;
}
