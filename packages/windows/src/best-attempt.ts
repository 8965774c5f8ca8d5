/**
 * One user's way through a funnel: which attempt counts, and when it reached each step.
 *
 * An attempt begins with an event of the first step; each further step is its earliest event strictly
 * behind the step before, and no later than the limit after the first. Of all attempts the one that
 * gets furthest counts, and of those the earliest.
 *
 * A later attempt never reaches a step before an earlier one does, so each step's events are walked
 * through once for all attempts: the work is the number of events times the number of steps.
 */
export interface FunnelRule {
  /** For each step, which of the types it is; a type may be several steps. */
  readonly steps: readonly number[];
  /** From the first step to the last at most. */
  readonly withinMicros: number;
  /** Attempts begin before this instant. */
  readonly startsBeforeMicros: number;
}

/**
 * Writes when the best attempt reached its steps to `reached`, which has room for all of them, and
 * returns how many these are: 0 without an attempt. `times`: of each type's events, ascending.
 */
export function bestAttempt(
  { steps, withinMicros, startsBeforeMicros }: FunnelRule,
  times: readonly (readonly number[])[],
  reached: number[],
): number {
  const starts = timesOf(times, steps[0]);
  const places = steps.map(() => 0);
  let best = 0;
  for (const start of starts) {
    if (start >= startsBeforeMicros) break;
    const attempt = [start];
    for (let step = 1; step < steps.length; step += 1) {
      const events = timesOf(times, steps[step]);
      const before = attempt[step - 1] as number;
      let place = places[step] as number;
      while (place < events.length && (events[place] as number) <= before) place += 1;
      places[step] = place;
      const time = events[place];
      if (time === undefined || time > start + withinMicros) break;
      attempt.push(time);
    }
    if (attempt.length > best) {
      best = attempt.length;
      for (let step = 0; step < best; step += 1) reached[step] = attempt[step] as number;
      if (best === steps.length) break;
    }
  }
  return best;
}

const timesOf = (
  times: readonly (readonly number[])[],
  type: number | undefined,
): readonly number[] => times[type ?? -1] ?? [];
