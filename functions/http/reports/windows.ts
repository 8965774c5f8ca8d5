/**
 * Reports over all users, read only: the figures of a stretch of time, tumbling windows, and sliding
 * ones.
 *
 * Answers are exact at the moment of the request. Windows belong where they start: a list of
 * [from, to) holds those that start in it.
 */
import {
  durationParam,
  eventTypeParam,
  instantParam,
  limitParam,
  requireRange,
  route,
  wholeParam,
} from "@headrace/handler";
import {
  KpiAnswer,
  readKpi,
  readSlidingRange,
  readSlidingRows,
  readSlidingSteps,
  readWindows,
  SlidingPoint,
  WindowAnswer,
} from "@headrace/reports";
import * as z from "zod";
import {
  AHEAD_MICROS,
  CursorInstant,
  MAX_RANGE_MICROS,
  standardReach,
  windowListParams,
} from "./range-params.ts";

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

const WindowsQuery = z.strictObject({
  ...windowListParams,
});

const WindowsAnswer = z.strictObject({
  windows: z.array(WindowAnswer),
  next_cursor: z.string().nullable(),
});

/** Start and type of the last window, and the end of the range, which is "now" where none is given. */
const WindowsCursor = z
  .tuple([CursorInstant, eventTypeParam, CursorInstant])
  .refine(([startMicros, , toMicros]) => startMicros < toMicros);

/** A frame of the last `rows` events, or of the last `range`; of its events, or at the end of each `step`. */
const SlidingQuery = z
  .strictObject({
    event_type: eventTypeParam,
    from: instantParam.optional(),
    to: instantParam.optional(),
    rows: wholeParam({ min: 1, max: 10_000 }).optional(),
    range: durationParam({ minMicros: SECOND, maxMicros: 31 * DAY }).optional(),
    step: durationParam({
      minMicros: 10 * SECOND,
      maxMicros: DAY,
      stepMicros: 10 * SECOND,
    }).optional(),
    limit: limitParam({ standard: 100, max: 1000 }),
  })
  .refine(({ rows, range }) => rows === undefined || range === undefined, {
    path: ["rows"],
    message: "cannot be given together with range",
  })
  .refine(({ range, step }) => step === undefined || range !== undefined, {
    path: ["step"],
    message: "is of use with range alone",
  })
  .refine(({ range = 0, step }) => step === undefined || range % (10 * SECOND) === 0, {
    path: ["range"],
    message: "must be a multiple of 10s where step is given",
  });

const SlidingAnswer = z.strictObject({
  points: z.array(SlidingPoint),
  next_cursor: z.string().nullable(),
});

/** Time and event of the last point, and the end of the range. */
const SlidingCursor = z.tuple([CursorInstant, z.guid().nullable(), CursorInstant]);

const STANDARD_ROWS = 10;
const SLIDING_REACH = HOUR;
const MAX_SLIDING_RANGE_MICROS = 400 * DAY;
/** 5 MB; frames begin and end within 10 s of a window's edge, so these are 30,000 events a second. */
const RAW_LIMIT = 300_000;

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

  "GET /v1/reports/sliding": route(
    {
      scope: "reports:read",
      pool: "reports",
      query: SlidingQuery,
      cursor: SlidingCursor,
      answer: SlidingAnswer,
    },
    async ({ query, sql, nowMicros, after, cursorAfter }) => {
      const { rows = STANDARD_ROWS, range, step } = query;
      // A step that has not ended yet would be told of too early.
      const ahead = step === undefined ? AHEAD_MICROS : 0;
      const toMicros = after?.[2] ?? query.to ?? nowMicros + ahead;
      const fromMicros = query.from ?? after?.[0] ?? toMicros - SLIDING_REACH;
      requireRange({ fromMicros, toMicros }, { maxMicros: MAX_SLIDING_RANGE_MICROS });
      const asked = {
        eventType: query.event_type,
        fromMicros,
        toMicros,
        after: after && { micros: after[0], eventId: after[1] },
        limit: query.limit,
        rawLimit: RAW_LIMIT,
      };
      const { points, last } =
        range === undefined
          ? await readSlidingRows(sql, asked, rows)
          : step === undefined
            ? await readSlidingRange(sql, asked, range)
            : await readSlidingSteps(sql, asked, range, step);
      const next = last && cursorAfter([last.micros, last.eventId, toMicros]);
      return { points, next_cursor: next ?? null };
    },
  ),
};
