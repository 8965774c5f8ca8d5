/**
 * Which tumbling window an instant belongs to. Instants are whole microseconds since
 * 1970-01-01T00:00Z, before it too; windows are aligned to it in UTC and half open: [start, end).
 */
export const WINDOW_SIZES = ["10s", "1m", "1h", "1d"] as const;
export type WindowSize = (typeof WINDOW_SIZES)[number];

/** Each size divides the next, so that windows of one size are made of whole smaller ones. */
export const WINDOW_MICROS: Readonly<Record<WindowSize, number>> = {
  "10s": 10_000_000,
  "1m": 60_000_000,
  "1h": 3_600_000_000,
  "1d": 86_400_000_000,
};

/** Start of the window of `size` that holds `micros`. */
export function windowStart(micros: number, size: WindowSize): number {
  return floorTo(micros, WINDOW_MICROS[size]);
}

/** End of the window of `size` that holds `micros`; the first instant that is no longer in it. */
export function windowEnd(micros: number, size: WindowSize): number {
  return floorTo(micros, WINDOW_MICROS[size]) + WINDOW_MICROS[size];
}

/** The greatest multiple of `step` that is not above `micros`; exact, unlike a division would be. */
export function floorTo(micros: number, step: number): number {
  const past = micros % step;
  return micros - (past < 0 ? past + step : past);
}
