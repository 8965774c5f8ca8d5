/**
 * GET /v1/reports/sliding: mean and sum of the `value` of one type's events over a frame that moves
 * with each point: the last N events, a stretch of time over events, or over steps of whole windows.
 *
 * Sums are kept exactly while events enter and leave the frame and are rounded once, so they equal
 * SQL's `rows between` and `range between` and do not drift; one beyond the range of doubles is null.
 */
import * as z from "zod";
import { Figure, InstantText, instantOf } from "./answer.ts";
import type { MovingFigures } from "./sliding-frames.ts";

export const SlidingPoint = z.strictObject({
  event_time: InstantText,
  /** null for a point that is the end of a step. */
  event_id: z.guid().nullable(),
  /** The event's, or the sum over the step. */
  value: Figure,
  /** null where no event in the frame has a value. */
  moving_mean: Figure,
  moving_sum: Figure,
});
export type SlidingPoint = z.output<typeof SlidingPoint>;

export interface SlidingQuery {
  readonly eventType: string;
  /** Points in [from, to), µs; frames reach back before it. */
  readonly fromMicros: number;
  readonly toMicros: number;
  /** Only points behind this place. */
  readonly after: SlidingPlace | undefined;
  /** A page may be cut shorter where events are dense. */
  readonly limit: number;
  /** Events with a value that are read one by one where frames begin, and again where they end. */
  readonly rawLimit: number;
}

/** Where a page ends: time of its last point in µs, and its event. */
export interface SlidingPlace {
  readonly micros: number;
  readonly eventId: string | null;
}

export interface SlidingPage {
  readonly points: SlidingPoint[];
  /** Undefined where nothing follows. */
  readonly last: SlidingPlace | undefined;
}

export const NO_POINTS: SlidingPage = { points: [], last: undefined };

/** A point before its figures are known. */
export interface PointSource extends SlidingPlace {
  readonly value: number | null;
}

export function slidingPage(
  sources: readonly PointSource[],
  figures: readonly MovingFigures[],
  isLastPage: boolean,
): SlidingPage {
  const points = sources.map(({ micros, eventId, value }, place) => ({
    event_time: instantOf(micros),
    event_id: eventId,
    value,
    moving_mean: figures[place]?.mean ?? null,
    moving_sum: figures[place]?.sum ?? null,
  }));
  return { points, last: isLastPage ? undefined : sources.at(-1) };
}
