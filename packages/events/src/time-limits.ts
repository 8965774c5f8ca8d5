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
}

/** Clients' clocks run ahead by minutes, not by more. */
export const FUTURE_LIMIT_MINUTES = 5;

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
    const message = `is more than ${FUTURE_LIMIT_MINUTES} minutes ahead of its record`;
    return { code: "event.in_future", message, path };
  }
  const message = `is more than ${limits.horizonDays} days before its record`;
  return { code: "event.too_old", message, path };
}

export function isWithinLimits(timeMicros: number, limits: TimeLimits): boolean {
  const recordMicros = limits.timestampMillis * 1000;
  return (
    Math.abs(timeMicros) <= Number.MAX_SAFE_INTEGER &&
    timeMicros >= recordMicros - limits.horizonDays * MICROS_PER_DAY &&
    timeMicros <= recordMicros + FUTURE_LIMIT_MINUTES * MICROS_PER_MINUTE
  );
}
