/**
 * Stretches of event time: where the rows of some transactions lie. They keep a statement to the
 * weekly partitions that it needs; the transaction id decides which rows of a stretch are meant.
 */
import { instantText } from "../sql.ts";

/** Both ends belong to it; µs. */
export interface Stretch {
  readonly fromMicros: number;
  readonly toMicros: number;
}

/** More would cost the planner more than the rows between two of them. */
const MAX_STRETCHES = 8;

/** At most eight disjoint stretches that cover the given ones, in order; the nearest are joined. */
export function joinStretches(given: readonly Stretch[]): Stretch[] {
  const joined: Stretch[] = [];
  for (const stretch of [...given].sort((a, b) => a.fromMicros - b.fromMicros)) {
    const last = joined.at(-1);
    if (last === undefined || stretch.fromMicros > last.toMicros) joined.push(stretch);
    else joined[joined.length - 1] = union(last, stretch);
  }
  while (joined.length > MAX_STRETCHES) joinNearest(joined);
  return joined;
}

function joinNearest(stretches: Stretch[]): void {
  let nearest = 1;
  for (let i = 2; i < stretches.length; i += 1) {
    if (gapBefore(stretches, i) < gapBefore(stretches, nearest)) nearest = i;
  }
  const [before, after] = [stretches[nearest - 1], stretches[nearest]];
  if (before && after) stretches.splice(nearest - 1, 2, union(before, after));
}

const gapBefore = (stretches: readonly Stretch[], i: number): number =>
  (stretches[i]?.fromMicros ?? 0) - (stretches[i - 1]?.toMicros ?? 0);

const union = (a: Stretch, b: Stretch): Stretch => ({
  fromMicros: a.fromMicros,
  toMicros: Math.max(a.toMicros, b.toMicros),
});

/** The same stretches, longer at their ends; `joinStretches` again, because they may touch now. */
export function widenStretches(
  stretches: readonly Stretch[],
  beforeMicros: number,
  afterMicros: number,
): Stretch[] {
  return joinStretches(
    stretches.map(({ fromMicros, toMicros }) => ({
      fromMicros: fromMicros - beforeMicros,
      toMicros: toMicros + afterMicros,
    })),
  );
}

/** What of them lies in [from, to). */
export function clipStretches(
  stretches: readonly Stretch[],
  fromMicros: number,
  toMicros: number,
): Stretch[] {
  return stretches
    .map((stretch) => ({
      fromMicros: Math.max(stretch.fromMicros, fromMicros),
      toMicros: Math.min(stretch.toMicros, toMicros - 1),
    }))
    .filter((stretch) => stretch.fromMicros <= stretch.toMicros);
}

/** A condition on `column` (a name of ours, never from a request); its bounds are added to `values`. */
export function withinStretches(
  column: string,
  stretches: readonly Stretch[],
  values: unknown[],
): string {
  const parts = stretches.map(({ fromMicros, toMicros }) => {
    values.push(instantText(fromMicros), instantText(toMicros));
    return `${column} between $${values.length - 1}::timestamptz and $${values.length}::timestamptz`;
  });
  return parts.length === 0 ? "false" : `(${parts.join(" or ")})`;
}
