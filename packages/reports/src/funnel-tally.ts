/** How many users reached each step of a funnel, and how long they took. */
import * as z from "zod";
import { Count, Figure } from "./answer.ts";

export const FunnelStep = z.strictObject({
  event_type: z.string(),
  /** Who reached the step in the attempt that counts. */
  users: Count,
  /** Of those who reached the step before; null for the first step. */
  rate_from_previous: Figure,
  rate_from_first: Figure,
  median_seconds_from_previous: Figure,
});
export type FunnelStep = z.output<typeof FunnelStep>;

export class FunnelTally {
  readonly #users: number[];
  /** µs from the step before, of each user who reached the step. */
  readonly #gaps: number[][];

  constructor(steps: number) {
    this.#users = Array.from({ length: steps }, () => 0);
    this.#gaps = Array.from({ length: steps }, () => []);
  }

  /** `gaps`: µs from step to step of the attempt that counts, which begins with the first step. */
  add(gaps: readonly number[]): void {
    this.#users[0] = (this.#users[0] ?? 0) + 1;
    for (const [place, gap] of gaps.entries()) {
      this.#users[place + 1] = (this.#users[place + 1] ?? 0) + 1;
      this.#gaps[place + 1]?.push(gap);
    }
  }

  stepsOf(eventTypes: readonly string[]): FunnelStep[] {
    const first = this.#users[0] ?? 0;
    return eventTypes.map((eventType, place) => {
      const users = this.#users[place] ?? 0;
      return {
        event_type: eventType,
        users,
        rate_from_previous: place === 0 ? null : rate(users, this.#users[place - 1] ?? 0),
        rate_from_first: rate(users, first),
        median_seconds_from_previous: medianSeconds(this.#gaps[place] ?? []),
      };
    });
  }

  overallRate(): number | null {
    return rate(this.#users.at(-1) ?? 0, this.#users[0] ?? 0);
  }
}

const rate = (users: number, of: number): number | null => (of === 0 ? null : users / of);

const MICROS_PER_SECOND = 1_000_000;

/** Of an even count, the mean of the two in the middle. */
function medianSeconds(micros: readonly number[]): number | null {
  const sorted = Float64Array.from(micros).sort();
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) return null;
  return (lower + upper) / 2 / MICROS_PER_SECOND;
}
