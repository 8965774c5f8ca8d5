/** What all answers are made of: instants, money, counts and figures, each written in one way. */
import * as z from "zod";

/** RFC 3339 in UTC, with as many digits of a second as it needs: `2026-01-31T12:00:00Z`. */
export const InstantText = z.iso.datetime();

/** Exact, with two decimals; a text, because a JSON number is read as a float. */
export const Money = z.string().regex(/^\d+\.\d{2}$/);

export const Count = z.int().min(0);

/** null where there is nothing to tell. */
export const Figure = z.number().nullable();

const MICROS_PER_SECOND = 1_000_000;

/** `micros` since 1970 as an `InstantText`. */
export function instantOf(micros: number): string {
  const fraction = ((micros % MICROS_PER_SECOND) + MICROS_PER_SECOND) % MICROS_PER_SECOND;
  const text = new Date((micros - fraction) / 1000).toISOString();
  const digits = String(fraction).padStart(6, "0").replace(/0+$/, "");
  return `${text.slice(0, -5)}${digits === "" ? "" : `.${digits}`}Z`;
}

/** `instantOf` of what may be unknown, which PostgreSQL may also say as an infinite time. */
export function instantOrNull(micros: number | null): string | null {
  return micros === null || !Number.isFinite(micros) ? null : instantOf(micros);
}
