/** Figures over frames that move forward through a list of numbers: each enters and leaves once. */
import { ExactTotal } from "@headrace/windows";

/** A number, or the total of several, and where it lies: an instant in µs, or a place in a list. */
export interface FramePart {
  readonly at: number;
  readonly what: number | ExactTotal;
}

/** [from, to); of two frames in a row, the second begins and ends no earlier. */
export interface Frame {
  readonly from: number;
  readonly to: number;
}

export interface MovingFigures {
  readonly sum: number | null;
  readonly mean: number | null;
}

/** `parts` in ascending order; a part belongs to the frames that hold its `at`. */
export function movingFigures(
  parts: readonly FramePart[],
  frames: readonly Frame[],
): MovingFigures[] {
  const total = new ExactTotal();
  let entering = 0;
  let leaving = 0;
  return frames.map(({ from, to }) => {
    for (let part = parts[entering]; part && part.at < to; part = parts[entering]) {
      enter(total, part.what);
      entering += 1;
    }
    for (let part = parts[leaving]; part && part.at < from; part = parts[leaving]) {
      if (leaving === entering) entering += 1;
      else leave(total, part.what);
      leaving += 1;
    }
    return { sum: total.sum(), mean: total.mean() };
  });
}

function enter(total: ExactTotal, what: number | ExactTotal): void {
  if (typeof what === "number") total.add(what);
  else total.merge(what);
}

function leave(total: ExactTotal, what: number | ExactTotal): void {
  if (typeof what === "number") total.remove(what);
  else total.subtract(what);
}
