/**
 * Decides what is sent next. Two rules hold at every moment: a partition's records are held by one
 * unit at most, and none is sent while an earlier one of its partition is held or to be sent again.
 *
 * A unit to be sent again may hold records of several partitions; it stands in the line of each. Units
 * enter those lines together and in one order, so that two of them never wait for each other.
 */
import { envelopeBytes, MAX_EVENT_BYTES, partitionBytes } from "./event.ts";
import type { PartitionQueue } from "./partition-queue.ts";
import type { TriggerSettings } from "./trigger.ts";
import type { Unit, UnitPart } from "./unit.ts";

export class Backlog {
  readonly #settings: TriggerSettings;
  readonly #envelopeBytes: number;
  readonly #queues = new Map<number, PartitionQueue>();
  #turn = 0;

  constructor(settings: TriggerSettings, brokers: readonly string[]) {
    this.#settings = settings;
    this.#envelopeBytes = envelopeBytes(brokers);
  }

  get queues(): readonly PartitionQueue[] {
    return [...this.#queues.values()];
  }

  get(partition: number): PartitionQueue | undefined {
    return this.#queues.get(partition);
  }

  add(queue: PartitionQueue): void {
    this.#queues.set(queue.partition, queue);
  }

  /** The next unit, from now on held; undefined where none is due. */
  next(now: number): Unit | undefined {
    const unit = this.#dueAgain(now) ?? this.#gather(now);
    for (const { queue } of unit?.parts ?? []) queue.held = unit;
    return unit;
  }

  /** When `next` may have something that it has not now, if nothing else happens. */
  wakeAt(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues.values()) {
      const first = queue.again[0];
      if (first !== undefined && isFirstEverywhere(first))
        earliest = Math.min(earliest, first.notBefore);
      if (queue.isFree)
        earliest = Math.min(earliest, queue.waitingSince + this.#settings.batchingWindowMillis);
    }
    return earliest;
  }

  /**
   * `unit` is no longer held; what becomes of it stands first in the lines of its partitions, but for
   * partitions that were restarted meanwhile.
   */
  release(unit: Unit, again: readonly Unit[] = []): void {
    const valid = again.flatMap((one) => {
      const parts = one.parts.filter((part) => part.epoch === part.queue.epoch);
      return parts.length === 0 ? [] : [{ ...one, parts }];
    });
    for (const { queue } of unit.parts) {
      if (queue.held === unit) queue.held = undefined;
      const mine = valid.filter((one) => one.parts.some((part) => part.queue === queue));
      if (mine.length > 0) queue.again = [...mine, ...queue.again];
    }
  }

  /** The partition goes on at `offset`, of another log or of its own; nothing held for it counts. */
  restart(queue: PartitionQueue, topicId: string, offset: number): void {
    queue.restart(topicId, offset);
    const replaced = new Map<Unit, Unit | undefined>();
    for (const unit of queue.again) {
      const parts = unit.parts.filter((part) => part.queue !== queue);
      replaced.set(unit, parts.length === 0 ? undefined : { ...unit, parts });
    }
    queue.again = [];
    for (const other of this.#queues.values())
      other.again = other.again.flatMap((unit) =>
        replaced.has(unit) ? (replaced.get(unit) ?? []) : [unit],
      );
  }

  /** The topic no longer has this partition. */
  remove(queue: PartitionQueue): void {
    this.restart(queue, "", 0);
    this.#queues.delete(queue.partition);
  }

  #dueAgain(now: number): Unit | undefined {
    for (const queue of this.#queues.values()) {
      const unit = queue.again[0];
      if (unit === undefined || unit.notBefore > now || !isFirstEverywhere(unit)) continue;
      for (const part of unit.parts) part.queue.again = part.queue.again.slice(1);
      return unit;
    }
    return undefined;
  }

  /** A batch of fresh records, where it is full or the window of its first record has passed. */
  #gather(now: number): Unit | undefined {
    const { batchSize, batchingWindowMillis } = this.#settings;
    const free = this.queues.filter((queue) => queue.isFree && queue.count > 0);
    let count = 0;
    let bytes = 0;
    let since = Number.POSITIVE_INFINITY;
    for (const queue of free) {
      count += queue.count;
      bytes += queue.bytes;
      since = Math.min(since, queue.waitingSince);
    }
    const isFull = count >= batchSize || bytes >= MAX_EVENT_BYTES;
    if (count === 0 || !(isFull || since + batchingWindowMillis <= now)) return undefined;
    const first = this.#turn++ % free.length;
    return this.#fill([...free.slice(first), ...free.slice(0, first)]);
  }

  /** Whole partitions first, as far as they fit: what one invocation holds, no other can send. */
  #fill(queues: readonly PartitionQueue[]): Unit {
    let left = this.#settings.batchSize;
    let bytesLeft = MAX_EVENT_BYTES - this.#envelopeBytes;
    const parts: UnitPart[] = [];
    for (const queue of queues) {
      const frame = partitionBytes(queue.topic, queue.partition);
      const { records, bytes } = queue.take(left, bytesLeft - frame);
      left -= records.length;
      bytesLeft -= bytes + frame;
      if (records.length > 0) parts.push({ queue, epoch: queue.epoch, records });
      else if (parts.length === 0) return tooLarge(queue);
      if (left === 0) break;
    }
    return fresh(parts);
  }
}

/** A record that does not fit into an empty batch fits into none. */
function tooLarge(queue: PartitionQueue): Unit {
  const { records } = queue.take(1, Number.POSITIVE_INFINITY);
  const unit = fresh([{ queue, epoch: queue.epoch, records }]);
  return { ...unit, condition: "MaximumPayloadSizeExceeded" };
}

function fresh(parts: readonly UnitPart[]): Unit {
  return { parts, retries: 0, notBefore: 0, lastAttempt: undefined, condition: undefined };
}

function isFirstEverywhere(unit: Unit): boolean {
  return unit.parts.every(({ queue }) => queue.held === undefined && queue.again[0] === unit);
}
