/**
 * The watermark of one partition and the lateness of its events, record by record in the order of
 * first commit. All instants are microseconds since 1970-01-01T00:00Z; `null` is the watermark of a
 * partition that has had no event, before which nothing is late.
 */

/** 0 on time; late by at most 1 a minute, 2 an hour, 3 a day; 4 older. */
export type LateClass = 0 | 1 | 2 | 3 | 4;

/** Events of one partition may be this much out of order and still be on time. */
export const WATERMARK_DELAY_MICROS = 5_000_000;

const MINUTE_MICROS = 60_000_000;
const HOUR_MICROS = 60 * MINUTE_MICROS;
const DAY_MICROS = 24 * HOUR_MICROS;

/** How late an event is against its partition's watermark before it; an event at the watermark is on time. */
export function lateClass(timeMicros: number, watermarkMicros: number | null): LateClass {
  if (watermarkMicros === null || timeMicros >= watermarkMicros) return 0;
  const lateMicros = watermarkMicros - timeMicros;
  if (lateMicros <= MINUTE_MICROS) return 1;
  if (lateMicros <= HOUR_MICROS) return 2;
  return lateMicros <= DAY_MICROS ? 3 : 4;
}

/**
 * The watermark after an event. It never goes back, and an event time ahead of the record's own
 * timestamp moves it no further than that timestamp, so that one wrong clock makes nobody else late.
 */
export function nextWatermark(
  watermarkMicros: number | null,
  timeMicros: number,
  recordMicros: number,
): number {
  const reached = Math.min(timeMicros, recordMicros) - WATERMARK_DELAY_MICROS;
  return watermarkMicros === null || reached > watermarkMicros ? reached : watermarkMicros;
}
