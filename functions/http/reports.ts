/**
 * Reports over all users, read only: the figures of a stretch of time, and tumbling windows.
 *
 * Answers are exact at the moment of the request. Windows belong where they start: a list of
 * [from, to) holds those that start in it.
 */
import {
  durationParam,
  EARLIEST_MICROS,
  httpHandler,
  instantParam,
  LATEST_MICROS,
  limitParam,
  requireRange,
  route,
} from "@headrace/handler";
import { KpiAnswer, readKpi, readWindows, WindowAnswer, WindowSizeName } from "@headrace/reports";
import type { WindowSize } from "@headrace/windows";
import * as z from "zod";

const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const KpiQuery = z.strictObject({
  window: durationParam({
    minMicros: 10 * SECOND,
    maxMicros: DAY,
    stepMicros: 10 * SECOND,
  }).default(MINUTE),
  at: instantParam.optional(),
});

const EventType = z
  .string()
  .regex(/^[a-z][a-z0-9_.]{0,63}$/, "must be 1 to 64 of a-z, 0-9, _ and . and begin with a letter");

const WindowsQuery = z.strictObject({
  size: WindowSizeName,
  event_type: EventType.optional(),
  from: instantParam.optional(),
  to: instantParam.optional(),
  limit: limitParam({ standard: 100, max: 1000 }),
});

const WindowsAnswer = z.strictObject({
  windows: z.array(WindowAnswer),
  next_cursor: z.string().nullable(),
});

const Instant = z.int().min(EARLIEST_MICROS).max(LATEST_MICROS);

/** Start and type of the last window, and the end of the range, which is "now" where none is given. */
const WindowsCursor = z
  .tuple([Instant, EventType, Instant])
  .refine(([startMicros, , toMicros]) => startMicros < toMicros);

/** How far a list reaches back where no `from` is given. */
const standardReach: Readonly<Record<WindowSize, number>> = {
  "10s": 10 * MINUTE,
  "1m": HOUR,
  "1h": 2 * DAY,
  "1d": 60 * DAY,
};
/** Pages bound the work; the range need only hold all that a horizon of ten years lets in. */
const MAX_RANGE_MICROS = 3_660 * DAY;
/** An event may be as far ahead of the clock. */
const AHEAD_MICROS = 5 * MINUTE;

export const routes = {
  "GET /v1/reports/kpi": route(
    { scope: "reports:read", pool: "reports", query: KpiQuery, answer: KpiAnswer },
    ({ query, sql, nowMicros }) =>
      readKpi(sql, { atMicros: query.at ?? nowMicros, windowMicros: query.window }),
  ),

  "GET /v1/reports/windows": route(
    {
      scope: "reports:read",
      pool: "reports",
      query: WindowsQuery,
      cursor: WindowsCursor,
      answer: WindowsAnswer,
    },
    async ({ query, sql, nowMicros, after, cursorAfter }) => {
      const { size, event_type: eventType = null, limit } = query;
      const toMicros = after?.[2] ?? query.to ?? nowMicros + AHEAD_MICROS;
      const fromMicros = query.from ?? after?.[0] ?? toMicros - standardReach[size];
      requireRange({ fromMicros, toMicros }, { maxMicros: MAX_RANGE_MICROS });
      const { windows, last } = await readWindows(sql, {
        size,
        eventType,
        fromMicros,
        toMicros,
        after: after && { startMicros: after[0], eventType: after[1] },
        limit,
      });
      const next = last && cursorAfter([last.startMicros, last.eventType, toMicros]);
      return { windows, next_cursor: next ?? null };
    },
  ),
};

export const handler = httpHandler(routes);
