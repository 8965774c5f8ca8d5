/**
 * Which lane each record of a batch belongs to, and where the partition stands afterwards.
 *
 * The identity of an event decides whether it is new, its position is only a hint. What lies at or
 * above the partition's next offset comes in order. What lies below it and in an open gap fills the
 * gap. Anything else below it is a redelivery, unless it turns out to be new: then the topic was
 * made again and its log starts over, and the partition follows the new log.
 */
import type { Gap } from "../gaps.ts";
import { LaneFold } from "./fold.ts";
import type { LockedProgress } from "./progress.ts";

export interface Lane {
  readonly fold: LaneFold;
  readonly gap: Gap | null;
  firstOffset: number;
  lastOffset: number;
}

export class LanePlan {
  readonly #progress: LockedProgress;
  readonly #gaps: readonly Gap[];
  readonly #main: Lane;
  readonly #filling = new Map<number, Lane>();
  /** Records of the main lane below the next offset whose event was stored. */
  #storedBelow = 0;
  /** Those that were left out because their user was erased. */
  #erasedBelow = 0;
  #restarted: boolean;
  #last = -1;
  #firstAbove = Number.POSITIVE_INFINITY;

  constructor(progress: LockedProgress, gaps: readonly Gap[]) {
    this.#progress = progress;
    this.#gaps = gaps;
    this.#restarted = progress.log_restarted;
    this.#main = newLane(null, progress.watermark);
  }

  /** Notes that the batch holds a record there, in the order of offsets. */
  note(offset: number): Lane {
    const lane = this.laneAt(offset);
    this.#last = offset;
    if (lane.firstOffset < 0) lane.firstOffset = offset;
    lane.lastOffset = offset;
    if (lane.gap === null && offset >= this.#progress.next_offset) {
      this.#firstAbove = Math.min(this.#firstAbove, offset);
    }
    return lane;
  }

  /** The delivery goes on at `offset`, and nothing lies between the last record noted and that. */
  cover(offset: number | undefined): void {
    if (offset === undefined || this.#gapAt(offset) !== this.#gapAt(this.#last)) return;
    this.laneAt(this.#last).lastOffset = offset - 1;
  }

  /** Whether a record lies where one was taken in before, if the log is still the same. */
  isPassed(offset: number, lane: Lane): boolean {
    return lane.gap === null && offset < this.#progress.next_offset;
  }

  #gapAt(offset: number): Gap | undefined {
    if (offset >= this.#progress.next_offset) return undefined;
    return this.#gaps.find((it) => offset >= it.next_offset && offset < it.to_offset);
  }

  laneAt(offset: number): Lane {
    const gap = this.#gapAt(offset);
    if (gap === undefined) return this.#main;
    let lane = this.#filling.get(gap.gap_id);
    if (lane === undefined) {
      lane = newLane(gap, gap.watermark);
      this.#filling.set(gap.gap_id, lane);
    }
    return lane;
  }

  /** A record whose event, or dead letter, had not been stored before. */
  countNew(offset: number, lane: Lane): void {
    if (this.isPassed(offset, lane)) this.#restarted = true;
  }

  /** A record whose event was stored before. */
  countStored(offset: number, lane: Lane): void {
    if (this.isPassed(offset, lane)) this.#storedBelow += 1;
    else lane.fold.duplicates += 1;
  }

  /** A record whose user was erased after it. Whether it came before is not known: nothing is kept of it. */
  countErased(offset: number, lane: Lane): void {
    if (this.isPassed(offset, lane)) this.#erasedBelow += 1;
    else lane.fold.erased += 1;
  }

  /** Call once every record was counted. */
  finish(): void {
    if (!this.#restarted) return;
    this.#main.fold.duplicates += this.#storedBelow;
    this.#main.fold.erased += this.#erasedBelow;
    this.#storedBelow = 0;
    this.#erasedBelow = 0;
  }

  /** Where the partition's next batch should begin. */
  get nextOffset(): number {
    const { next_offset } = this.#progress;
    const after = this.#main.lastOffset + 1;
    if (this.#restarted && this.#main.lastOffset >= 0) return after;
    return Math.max(next_offset, after);
  }

  /** The offsets that this batch skipped: from the next one up to, not with, this. */
  get gapTo(): number | undefined {
    const { next_offset } = this.#progress;
    const isSkipped = this.#firstAbove > next_offset && Number.isFinite(this.#firstAbove);
    const beganBelow = this.#main.firstOffset < next_offset;
    return isSkipped && !beganBelow && !this.#restarted ? this.#firstAbove : undefined;
  }

  get main(): Lane {
    return this.#main;
  }

  get filling(): Iterable<Lane> {
    return this.#filling.values();
  }

  get hasNews(): boolean {
    const { next_offset } = this.#progress;
    return (
      this.nextOffset !== next_offset ||
      this.#filling.size > 0 ||
      [this.#main, ...this.#filling.values()].some(
        ({ fold }) => fold.events + fold.duplicates + fold.deadLetters + fold.erased > 0,
      )
    );
  }
}

function newLane(gap: Gap | null, watermarkMicros: number | null): Lane {
  const fold = new LaneFold(gap?.gap_id ?? 0, watermarkMicros);
  return { fold, gap, firstOffset: -1, lastOffset: -1 };
}
