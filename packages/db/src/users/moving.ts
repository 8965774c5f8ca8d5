/** A part of a user's events that one transaction gives to another id, as every result must know it. */
import { instantText } from "../sql.ts";

export interface Moving {
  readonly userId: string;
  readonly newUserId: string;
  /** Event time of the first and the last of them, µs; results from before raw events are not among it. */
  readonly fromMicros: number;
  readonly toMicros: number;
}

/** Brings a result in line with the raw events, once these have their new id. */
export type Settle = () => Promise<void>;

export const usersOf = ({ userId, newUserId }: Moving): string[] => [userId, newUserId];

/** [from, to) in whole windows of `micros`, which hold every event that moves; as texts. */
export function wholeWindows({ fromMicros, toMicros }: Moving, micros: number): [string, string] {
  const from = Math.floor(fromMicros / micros) * micros;
  const to = (Math.floor(toMicros / micros) + 1) * micros;
  return [instantText(from), instantText(to)];
}

/** How many more, or less, of each key there are in `after`; keys without a change are left out. */
export function countChanges(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): Map<string, number> {
  const changes = new Map(after);
  for (const [key, count] of before) changes.set(key, (changes.get(key) ?? 0) - count);
  for (const [key, change] of changes) if (change === 0) changes.delete(key);
  return changes;
}
