/** How far the running system has read a topic, taken from what it tells of all its partitions. */
import { PartitionProgress as ToldProgress } from "@headrace/reports";
import type * as z from "zod";

export interface PartitionProgress {
  /** The first offset that was not read. */
  readonly nextOffset: number;
  /** Every event before it is in all finished results. */
  readonly finishedOffset: number;
  /** Records whose event was stored. */
  readonly events: number;
  /** Records whose event had been stored before. */
  readonly duplicates: number;
  readonly deadLetters: number;
  /** Stretches before `nextOffset` that were skipped and not read yet. */
  readonly openGaps: number;
}

/** By partition; one that was never read may be missing. */
export type TopicProgress = ReadonlyMap<number, PartitionProgress>;

export const UNREAD: PartitionProgress = {
  nextOffset: 0,
  finishedOffset: 0,
  events: 0,
  duplicates: 0,
  deadLetters: 0,
  openGaps: 0,
};

/**
 * Asks once. Throws AppError where there is no usable answer: `unavailable` where that may pass, else
 * `invalid`.
 */
export type ReadProgress = (topic: string) => Promise<TopicProgress>;

/** What is read of a partition; whatever else a system of another version tells is passed over. */
export const PartitionFigures = ToldProgress.pick({
  topic: true,
  partition: true,
  next_offset: true,
  finished_offset: true,
  events: true,
  duplicates: true,
  dead_letters: true,
  gaps: true,
}).strip();
export type PartitionFigures = z.output<typeof PartitionFigures>;

export function topicProgress(
  partitions: readonly PartitionFigures[],
  topic: string,
): TopicProgress {
  const ours = partitions.filter((one) => one.topic === topic);
  return new Map(
    ours.map((one) => [
      one.partition,
      {
        nextOffset: one.next_offset,
        finishedOffset: one.finished_offset,
        events: one.events,
        duplicates: one.duplicates,
        deadLetters: one.dead_letters,
        openGaps: one.gaps,
      },
    ]),
  );
}
