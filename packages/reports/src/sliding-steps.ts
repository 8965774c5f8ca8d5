/**
 * Frames of a stretch of time at the end of every step, made from windows alone: at t, a multiple of
 * the step, the frame is [t - range, t) of whole 10 s windows. There is a point for every step, also
 * where nothing happened.
 */
import {
  coverRange,
  floorTo,
  WINDOW_MICROS,
  WINDOW_SIZES,
  type WindowRun,
  type WindowSize,
} from "@headrace/windows";
import type { ReportSql } from "./report-sql.ts";
import { NO_POINTS, type SlidingPage, type SlidingQuery, slidingPage } from "./sliding.ts";
import { readByIndex } from "./sliding-events.ts";
import { movingFigures } from "./sliding-frames.ts";
import { readWindowParts, readWindowTerms } from "./sliding-windows.ts";

/** Both are multiples of 10 s. Throws `report.expired` and `sliding.too_dense`. */
export function readSlidingSteps(
  sql: ReportSql,
  query: SlidingQuery,
  rangeMicros: number,
  stepMicros: number,
): Promise<SlidingPage> {
  const size = WINDOW_SIZES.findLast(
    (one) => stepMicros % WINDOW_MICROS[one] === 0 && rangeMicros % WINDOW_MICROS[one] === 0,
  );
  const { ends, isLastPage } = stepsOf(query, stepMicros, size);
  const [first, last] = [ends[0], ends.at(-1)];
  if (size === undefined || first === undefined || last === undefined) {
    return Promise.resolve(NO_POINTS);
  }
  return sql.snapshot(async (moment) => {
    await readByIndex(moment);
    const terms = await readWindowTerms(moment, query.eventType);
    const runs = runsOf(size, { first, last, rangeMicros, stepMicros });
    const parts = await readWindowParts(moment, query, terms, runs);
    const framesOf = (length: number) => ends.map((to) => ({ from: to - length, to }));
    const steps = movingFigures(parts, framesOf(stepMicros));
    const points = ends.map((micros, place) => ({
      micros,
      eventId: null,
      value: steps[place]?.sum ?? null,
    }));
    return slidingPage(points, movingFigures(parts, framesOf(rangeMicros)), isLastPage);
  });
}

/** Windows that a page reads one by one at most. */
const MAX_WINDOWS = 20_000;

/** Where the steps of a page end, µs. */
function stepsOf(
  { fromMicros, toMicros, after, limit }: SlidingQuery,
  stepMicros: number,
  size: WindowSize = "10s",
): { readonly ends: number[]; readonly isLastPage: boolean } {
  const from = after === undefined ? fromMicros : after.micros + stepMicros;
  const first = -floorTo(-from, stepMicros);
  const left = Math.max(0, Math.ceil((toMicros - first) / stepMicros));
  // What enters the frames of a page and what leaves them are as long as the page.
  const most = Math.floor((MAX_WINDOWS * WINDOW_MICROS[size]) / (2 * stepMicros));
  const count = Math.min(left, limit, most);
  return {
    ends: Array.from({ length: count }, (_, place) => first + place * stepMicros),
    isLastPage: count === left,
  };
}

interface Reach {
  /** Ends of the page's first step and of its last, µs. */
  readonly first: number;
  readonly last: number;
  readonly rangeMicros: number;
  readonly stepMicros: number;
}

/** Windows of `size` where frames or steps begin or end, the largest ones that fit between. */
function runsOf(size: WindowSize, { first, last, rangeMicros, stepMicros }: Reach): WindowRun[] {
  const [insideFrom, insideTo] = [last - rangeMicros, first - stepMicros];
  const from = first - Math.max(rangeMicros, stepMicros);
  if (insideFrom >= insideTo) return [{ size, from, to: last }];
  const runs = [
    { size, from, to: insideFrom },
    ...coverRange(insideFrom, insideTo),
    { size, from: insideTo, to: last },
  ];
  return runs.filter((run) => run.from < run.to);
}
