/**
 * The parameters that reports share, as zod schemas over query texts: instants and durations become
 * whole microseconds, so that a range is exact to the microsecond.
 */
import { parseInstant } from "@headrace/events";
import { invalid } from "@headrace/kernel";
import * as z from "zod";

const SECOND = 1_000_000;
const UNITS = { s: SECOND, m: 60 * SECOND, h: 3_600 * SECOND, d: 86_400 * SECOND } as const;

/** Beyond these a day's arithmetic leaves the integers that a double holds. */
export const EARLIEST_MICROS = Date.UTC(1700, 0, 1) * 1000;
export const LATEST_MICROS = Date.UTC(2250, 0, 1) * 1000;

/**
 * RFC 3339 with offset → microseconds since 1970, further digits cut. A space in the place of the
 * offset's plus sign is read as one: that is what an unescaped `+02:00` in a URL arrives as.
 */
export const instantParam = z.string().transform((text, context) => {
  const instant = parseInstant(text.replace(/ (?=\d\d:\d\d$)/, "+"));
  const micros = instant?.micros ?? Number.NaN;
  if (micros >= EARLIEST_MICROS && micros <= LATEST_MICROS) return micros;
  context.addIssue(
    "must be a time with an offset (2026-01-31T12:00:00Z) between the years 1700 and 2250",
  );
  return z.NEVER;
});

export interface DurationBounds {
  readonly minMicros: number;
  readonly maxMicros: number;
  /** The duration must be a whole number of these. */
  readonly stepMicros?: number;
}

/** `90s`, `5m`, `1h`, `7d` → microseconds. */
export function durationParam({ minMicros, maxMicros, stepMicros = 1 }: DurationBounds) {
  return z.string().transform((text, context) => {
    const match = /^(\d{1,9})([smhd])$/.exec(text);
    const micros = Number(match?.[1]) * UNITS[(match?.[2] ?? "s") as keyof typeof UNITS];
    if (micros >= minMicros && micros <= maxMicros && micros % stepMicros === 0) return micros;
    const steps = stepMicros === 1 ? "" : ` in steps of ${durationText(stepMicros)}`;
    context.addIssue(
      `must be a duration from ${durationText(minMicros)} to ${durationText(maxMicros)}${steps} (90s, 5m, 1h, 7d)`,
    );
    return z.NEVER;
  });
}

/** A whole number in decimal digits. */
export function wholeParam({ min, max }: { readonly min: number; readonly max: number }) {
  return z.string().transform((text, context) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    context.addIssue(`must be a whole number from ${min} to ${max}`);
    return z.NEVER;
  });
}

/** How many rows a page holds at most. */
export function limitParam({ standard, max }: { readonly standard: number; readonly max: number }) {
  return wholeParam({ min: 1, max }).default(standard);
}

/** Text that PostgreSQL can hold, 1 to `max` characters. */
export function textParam(max: number) {
  return z
    .string()
    .min(1, "must not be empty")
    .max(max, `must be at most ${max} characters`)
    .refine((text) => !text.includes("\0") && text.isWellFormed(), "holds NUL or half a surrogate");
}

/** The type of an event, as events themselves must have it. */
export const eventTypeParam = z
  .string()
  .regex(/^[a-z][a-z0-9_.]{0,63}$/, "must be 1 to 64 of a-z, 0-9, _ and . and begin with a letter");

/** The name of an interval join. */
export const joinNameParam = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,63}$/, "must be 1 to 64 of a-z, 0-9, _ and - and begin with a letter");

/** A half-open stretch of time, [from, to). */
export interface MicrosRange {
  readonly fromMicros: number;
  readonly toMicros: number;
}

/** Throws `report.range` unless from < to and the range is no longer than `maxMicros`, if that is said. */
export function requireRange(
  range: MicrosRange,
  { maxMicros = Number.POSITIVE_INFINITY }: { readonly maxMicros?: number } = {},
): void {
  const length = range.toMicros - range.fromMicros;
  if (length <= 0) throw badRange("/to", "to must be after from");
  if (length > maxMicros) {
    throw badRange("/from", `from and to must be at most ${durationText(maxMicros)} apart`);
  }
}

const badRange = (path: string, message: string) =>
  invalid("report.range", message, { faults: [{ path, message }] });

/** `3600000000` → `1h`: the largest unit that divides it. */
export function durationText(micros: number): string {
  for (const unit of ["d", "h", "m", "s"] as const) {
    if (micros % UNITS[unit] === 0) return `${micros / UNITS[unit]}${unit}`;
  }
  return `${micros}µs`;
}
