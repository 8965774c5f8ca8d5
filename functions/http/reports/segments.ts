/**
 * GET /v1/reports/segments: what users of each segment did, or what was done with products of each
 * category, by windows.
 *
 * Exact at the moment of the request. Windows belong where they start: a list of [from, to) holds those
 * that start in it. Windows of 10 s and a minute are made from raw events, over an hour at most, and no
 * further back than those are kept.
 */
import { SEGMENT_KINDS } from "@headrace/db";
import { eventTypeParam, requireRange, route } from "@headrace/handler";
import { readSegments, SegmentAnswer } from "@headrace/reports";
import type { WindowSize } from "@headrace/windows";
import * as z from "zod";
import {
  AHEAD_MICROS,
  CursorInstant,
  MAX_RANGE_MICROS,
  standardReach,
  windowListParams,
} from "./range-params.ts";

const MINUTE = 60_000_000;
const HOUR = 60 * MINUTE;

const SegmentsQuery = z.strictObject({
  by: z.enum(SEGMENT_KINDS),
  ...windowListParams,
});

const SegmentsAnswer = z.strictObject({
  segments: z.array(SegmentAnswer),
  next_cursor: z.string().nullable(),
});

/** Start, group and type of the last row, and the end of the range, which is "now" where none is given. */
const SegmentsCursor = z
  .tuple([CursorInstant, z.string().max(128), eventTypeParam, CursorInstant])
  .refine(([startMicros, , , toMicros]) => startMicros < toMicros);

/** Of raw events, the most that a request may read; pages bound the rest. */
const maxRange: Readonly<Record<WindowSize, number>> = {
  "10s": HOUR,
  "1m": HOUR,
  "1h": MAX_RANGE_MICROS,
  "1d": MAX_RANGE_MICROS,
};

export const routes = {
  "GET /v1/reports/segments": route(
    {
      scope: "reports:read",
      pool: "reports",
      query: SegmentsQuery,
      cursor: SegmentsCursor,
      answer: SegmentsAnswer,
    },
    async ({ query, sql, nowMicros, after, cursorAfter }) => {
      const { by, size, event_type: eventType = null, limit } = query;
      const toMicros = after?.[3] ?? query.to ?? nowMicros + AHEAD_MICROS;
      const fromMicros = query.from ?? after?.[0] ?? toMicros - standardReach[size];
      requireRange({ fromMicros, toMicros }, { maxMicros: maxRange[size] });
      const { segments, last } = await readSegments(sql, {
        by,
        size,
        eventType,
        fromMicros,
        toMicros,
        after: after && { startMicros: after[0], group: after[1], eventType: after[2] },
        limit,
      });
      const next = last && cursorAfter([last.startMicros, last.group, last.eventType, toMicros]);
      return { segments, next_cursor: next ?? null };
    },
  ),
};
