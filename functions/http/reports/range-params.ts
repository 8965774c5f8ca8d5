/** Parameters that reports share, how far they reach where no range is given, and how far they may. */
import {
  EARLIEST_MICROS,
  eventTypeParam,
  instantParam,
  LATEST_MICROS,
  limitParam,
} from "@headrace/handler";
import { WindowSizeName } from "@headrace/reports";
import type { WindowSize } from "@headrace/windows";
import * as z from "zod";

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

/** Of a list of windows. */
export const windowListParams = {
  size: WindowSizeName,
  event_type: eventTypeParam.optional(),
  from: instantParam.optional(),
  to: instantParam.optional(),
  limit: limitParam({ standard: 100, max: 1000 }),
};

/** µs, as a cursor holds it. */
export const CursorInstant = z.int().min(EARLIEST_MICROS).max(LATEST_MICROS);
