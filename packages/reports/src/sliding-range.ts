/**
 * Frames of a stretch of time over events, as SQL's `range between <range> preceding and current row`:
 * [t - range, t], with all events of the point's own instant.
 *
 * What lies in the frames of all points of a page is read from windows; raw events are read only where
 * frames begin and where they end. These stretches are each as long as the page itself and up to 10 s
 * more, however long the frames are. Where they hold too many events the page is cut short.
 */
import { coverRange, windowStart } from "@headrace/windows";
import type { ReportSql } from "./report-sql.ts";
import { NO_POINTS, type SlidingPage, type SlidingQuery, slidingPage } from "./sliding.ts";
import { readByIndex, readPoints, readRawParts } from "./sliding-events.ts";
import { movingFigures } from "./sliding-frames.ts";
import { readWindowParts, readWindowTerms, tooDense } from "./sliding-windows.ts";

/** Throws `sliding.too_dense` where even one frame's edges hold too many events. */
export function readSlidingRange(
  sql: ReportSql,
  query: SlidingQuery,
  rangeMicros: number,
): Promise<SlidingPage> {
  const { eventType, limit } = query;
  return sql.snapshot(async (moment) => {
    await readByIndex(moment);
    const found = await readPoints(moment, query);
    const points = found.slice(0, limit);
    const [first, last] = [points[0], points.at(-1)];
    if (first === undefined || last === undefined) return NO_POINTS;

    const terms = await readWindowTerms(moment, eventType);
    const begin = first.micros - rangeMicros;
    // From `insideFrom` to `insideTo` all frames hold everything.
    const insideFrom = (end: number) =>
      terms.hasWindows ? -windowStart(rangeMicros - end, "10s") : Number.POSITIVE_INFINITY;
    const insideTo = Math.max(begin, windowStart(first.micros, "10s"));
    const leftTo = Math.min(insideFrom(last.micros), insideTo);
    const left = await readRawParts(moment, query, begin, leftTo);
    const right = await readRawParts(moment, query, insideTo, last.micros + 1);

    const fitting = points.filter(
      ({ micros }) =>
        (left.readUntil === leftTo || insideFrom(micros) <= left.readUntil) &&
        micros < right.readUntil,
    );
    const end = fitting.at(-1);
    if (end === undefined) throw tooDense(first.micros);
    const from = insideFrom(end.micros);
    const keptFrom = Math.max(from, terms.rawFromMicros);
    const parts = [
      ...left.parts.filter(({ at }) => at < from),
      ...(keptFrom < insideTo
        ? await readWindowParts(moment, query, terms, coverRange(keptFrom, insideTo))
        : []),
      ...right.parts,
    ];
    const frames = fitting.map(({ micros }) => ({ from: micros - rangeMicros, to: micros + 1 }));
    const isLastPage = fitting.length === found.length;
    return slidingPage(fitting, movingFigures(parts, frames), isLastPage);
  });
}
