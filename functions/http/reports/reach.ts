/** How far reports reach where no range is given, and how far they may. */
import type { WindowSize } from "@headrace/windows";

const MINUTE = 60_000_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How far a list of windows reaches back where no `from` is given. */
export const standardReach: Readonly<Record<WindowSize, number>> = {
  "10s": 10 * MINUTE,
  "1m": HOUR,
  "1h": 2 * DAY,
  "1d": 60 * DAY,
};

/** Pages bound the work; the range need only hold all that a horizon of ten years lets in. */
export const MAX_RANGE_MICROS = 3_660 * DAY;

/** An event may be as far ahead of the clock. */
export const AHEAD_MICROS = 5 * MINUTE;
