/**
 * Frames of the last N events, the point's own among them, as SQL's `rows between N - 1 preceding and
 * current row`. Events without a value count. A page of L points reads L + N rows by index.
 */
import type { ReportSql } from "./report-sql.ts";
import { NO_POINTS, type SlidingPage, type SlidingQuery, slidingPage } from "./sliding.ts";
import { readByIndex, readPoints, readValuesBefore } from "./sliding-events.ts";
import { movingFigures } from "./sliding-frames.ts";

export function readSlidingRows(
  sql: ReportSql,
  query: SlidingQuery,
  rows: number,
): Promise<SlidingPage> {
  return sql.snapshot(async (moment) => {
    await readByIndex(moment);
    const found = await readPoints(moment, query);
    if (found.length === 0) return NO_POINTS;
    const before = rows === 1 ? [] : await readValuesBefore(moment, query, rows - 1);
    const points = found.slice(0, query.limit);
    const values = [...before, ...points.map(({ value }) => value)];
    const parts = values.flatMap((what, at) => (what === null ? [] : [{ at, what }]));
    const frames = points.map((_, place) => {
      const to = before.length + place + 1;
      return { from: to - rows, to };
    });
    return slidingPage(points, movingFigures(parts, frames), found.length <= query.limit);
  });
}
