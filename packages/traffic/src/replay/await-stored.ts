/**
 * Waits until the running system has read a topic up to given offsets, gaps included, and every result
 * that is finished behind that has them too.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, unavailable } from "@headrace/kernel";
import {
  type PartitionProgress,
  type ReadProgress,
  type TopicProgress,
  UNREAD,
} from "./topic-progress.ts";

export interface AwaitOptions {
  readonly read: ReadProgress;
  readonly topic: string;
  /** By partition, the offset after the last record to wait for. */
  readonly targets: ReadonlyMap<number, number>;
  /**
   * Progress from before those records were sent. Where it lies past the topic's end of that time the
   * topic was made anew, and says nothing until it changes.
   */
  readonly before?: {
    readonly progress: TopicProgress;
    readonly ends: ReadonlyMap<number, number>;
  };
  /** Gives up when nothing has advanced for this long. Default 60 s. */
  readonly stallMs?: number;
  readonly signal?: AbortSignal;
  /** Called after each look with the number of records that are not in all results yet. */
  readonly onWaiting?: (unread: number) => void;
}

const STALL_MS = 60_000;
const LOOK_EVERY_MS = 200;

/** Throws `replay.stalled`, which says what is unread; `replay.token`; `replay.interrupted`. */
export async function awaitStored(options: AwaitOptions): Promise<TopicProgress> {
  const { read, topic, signal, stallMs = STALL_MS } = options;
  let advancedAt = performance.now();
  let last: TopicProgress = new Map();
  for (;;) {
    let trouble: unknown;
    try {
      const progress = await read(topic);
      const unread = unreadOf(progress, options);
      if (unread.length === 0) return progress;
      options.onWaiting?.(unread.reduce((sum, one) => sum + one.records, 0));
      if (hasAdvanced(last, progress)) advancedAt = performance.now();
      last = progress;
    } catch (error) {
      // Down for a moment, it may come back; a token that is refused will not be taken later.
      if (!(error instanceof AppError) || error.kind !== "unavailable") throw error;
      trouble = error;
    }
    if (signal?.aborted) throw unavailable("replay.interrupted", "interrupted while waiting");
    if (performance.now() - advancedAt > stallMs) throw stalled(options, last, stallMs, trouble);
    await sleep(LOOK_EVERY_MS);
  }
}

interface Unread {
  readonly partition: number;
  readonly records: number;
  readonly openGaps: number;
  readonly nextOffset: number;
  readonly finishedOffset: number;
  readonly target: number;
}

function unreadOf(progress: TopicProgress, { targets, before }: AwaitOptions): readonly Unread[] {
  return [...targets].flatMap(([partition, target]) => {
    const now = progress.get(partition) ?? UNREAD;
    const then = before?.progress.get(partition) ?? UNREAD;
    const isOfOldTopic =
      then.nextOffset > (before?.ends.get(partition) ?? then.nextOffset) && isSame(then, now);
    const { nextOffset, finishedOffset } = isOfOldTopic ? UNREAD : now;
    const records = Math.max(0, target - finishedOffset);
    if (records === 0 && now.openGaps === 0) return [];
    return [{ partition, records, openGaps: now.openGaps, nextOffset, finishedOffset, target }];
  });
}

function hasAdvanced(last: TopicProgress, progress: TopicProgress): boolean {
  return [...progress].some(([partition, now]) => !isSame(last.get(partition) ?? UNREAD, now));
}

function isSame(a: PartitionProgress, b: PartitionProgress): boolean {
  return (Object.keys(UNREAD) as (keyof PartitionProgress)[]).every((key) => a[key] === b[key]);
}

function stalled(
  options: AwaitOptions,
  progress: TopicProgress,
  stallMs: number,
  trouble: unknown,
): AppError {
  const lines = unreadOf(progress, options).map(
    ({ partition, records, openGaps, nextOffset, finishedOffset, target }) =>
      `  ${options.topic}-${partition}: ${records} records (read up to ${nextOffset} of ${target}` +
      `${finishedOffset < Math.min(nextOffset, target) ? `, finished up to ${finishedOffset}` : ""})` +
      `${openGaps > 0 ? `, open gaps: ${openGaps}` : ""}`,
  );
  const why = trouble instanceof Error ? ` (${trouble.message})` : "";
  return unavailable(
    "replay.stalled",
    `nothing was read for ${stallMs / 1000} s${why}. Unread:\n${lines.join("\n")}\nThe log of the running system tells what holds it up; what was sent is read once it goes on.`,
  );
}
