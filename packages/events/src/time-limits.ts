/**
 * How far an event's time may lie from its record's Kafka timestamp, the only clock that a pure reader
 * has. Without an upper limit one wrong clock would hold windows open for years to come; without a
 * lower one anybody could touch partitions of any age.
 */
import type { Refusal } from "./refusal.ts";

export interface TimeLimits {
  /** What the limits are counted from: the record's Kafka timestamp. */
  readonly timestampMillis: number;
  /** Days before it that an event may lie. */
  readonly horizonDays: number;
  /** How far within both limits an event must stay; nothing where the timestamp is the record's own. */
  readonly margins?: TimeMargins;
}

/**
 * For a check before Kafka has stamped the record: an event at the very edge would pass it, and be a
 * dead letter by the time its record is there.
 */
export interface TimeMargins {
  /** Within the horizon: as long as a record may take to its place, and clocks may differ. */
  readonly oldMillis: number;
  /** Within the limit ahead: as much as Kafka's clock may be behind that of the check. */
  readonly aheadMillis: number;
}

/** Clients' clocks run ahead by minutes, not by more. */
export const FUTURE_LIMIT_MINUTES = 5;

const NO_MARGINS: TimeMargins = { oldMillis: 0, aheadMillis: 0 };

const MICROS_PER_MINUTE = 60e6;
const MICROS_PER_DAY = 86_400e6;

/**
 * Why an event time is refused, or undefined where it is not; exactly at a limit it is not. What a safe
 * integer of microseconds cannot hold (before 1684, after 2255) is refused whatever timestamp a
 * producer has made up.
 */
export function timeRefusal(timeMicros: number, limits: TimeLimits): Refusal | undefined {
  if (isWithinLimits(timeMicros, limits)) return undefined;
  const path = "/event_time";
  const isUnsafe = Math.abs(timeMicros) > Number.MAX_SAFE_INTEGER;
  if (timeMicros > (isUnsafe ? 0 : limits.timestampMillis * 1000)) {
    const message = `is more than ${FUTURE_LIMIT_MINUTES} minutes ${lessMargin(limits.margins?.aheadMillis)}ahead of its record`;
    return { code: "event.in_future", message, path };
  }
  const message = `is more than ${limits.horizonDays} days ${lessMargin(limits.margins?.oldMillis)}before its record`;
  return { code: "event.too_old", message, path };
}

function lessMargin(millis = 0): string {
  return millis === 0 ? "" : `less ${millis / 1000} seconds `;
}

export function isWithinLimits(timeMicros: number, limits: TimeLimits): boolean {
  const recordMicros = limits.timestampMillis * 1000;
  const { oldMillis, aheadMillis } = limits.margins ?? NO_MARGINS;
  const least = recordMicros - limits.horizonDays * MICROS_PER_DAY + oldMillis * 1000;
  const most = recordMicros + FUTURE_LIMIT_MINUTES * MICROS_PER_MINUTE - aheadMillis * 1000;
  return (
    Math.abs(timeMicros) <= Number.MAX_SAFE_INTEGER && timeMicros >= least && timeMicros <= most
  );
}
