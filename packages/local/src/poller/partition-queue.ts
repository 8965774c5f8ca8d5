/**
 * One partition's records between the fetch and the function, in order: what an invocation holds,
 * then what is to be sent again, then what was fetched.
 */
import type { KafkaRecord } from "@headrace/kafka";
import { recordBytes } from "./event.ts";
import type { Unit } from "./unit.ts";

interface Chunk {
  readonly records: readonly KafkaRecord[];
  /** Bytes of each record in an event. */
  readonly sizes: readonly number[];
  readonly arrivedAt: number;
  /** Records before this one are taken. */
  head: number;
}

export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  /** Grows when the log is another one or lost its place: results of older units no longer matter. */
  epoch = 0;
  topicId: string;
  /** The next offset to fetch. */
  fetchOffset: number;
  /** The unit that an invocation (or the failure destination) holds. */
  held: Unit | undefined;
  /** Units to send again, first things first. */
  again: readonly Unit[] = [];
  #chunks: Chunk[] = [];
  #count = 0;
  #bytes = 0;

  constructor(topic: string, partition: number, topicId: string, fetchOffset: number) {
    this.topic = topic;
    this.partition = partition;
    this.topicId = topicId;
    this.fetchOffset = fetchOffset;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** When the oldest record that was not sent yet came; Infinity when there is none. */
  get waitingSince(): number {
    return this.#chunks[0]?.arrivedAt ?? Number.POSITIVE_INFINITY;
  }

  /** Fresh records may be sent: nothing earlier is held or to be sent again. */
  get isFree(): boolean {
    return this.held === undefined && this.again.length === 0;
  }

  /** The lowest offset that is not done; what a restart must begin with. */
  get unfinished(): number {
    let lowest = this.#firstWaiting() ?? this.fetchOffset;
    for (const unit of this.held === undefined ? this.again : [this.held, ...this.again]) {
      const part = unit.parts.find((one) => one.queue === this && one.epoch === this.epoch);
      lowest = Math.min(lowest, part?.records[0]?.offset ?? lowest);
    }
    return lowest;
  }

  add(records: readonly KafkaRecord[], nextOffset: number, now: number): void {
    this.fetchOffset = nextOffset;
    if (records.length === 0) return;
    const sizes = records.map(recordBytes);
    this.#chunks.push({ records, sizes, arrivedAt: now, head: 0 });
    this.#count += records.length;
    for (const size of sizes) this.#bytes += size;
  }

  /** The next records that fit, and their bytes; empty where not even the first fits. */
  take(most: number, mostBytes: number): { records: KafkaRecord[]; bytes: number } {
    const records: KafkaRecord[] = [];
    let bytes = 0;
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      while (chunk.head < chunk.records.length && records.length < most) {
        const record = chunk.records[chunk.head];
        const size = chunk.sizes[chunk.head] ?? 0;
        if (record === undefined || bytes + size > mostBytes) return this.#taken(records, bytes);
        records.push(record);
        bytes += size;
        chunk.head++;
      }
      if (chunk.head < chunk.records.length) break;
      this.#chunks.shift();
    }
    return this.#taken(records, bytes);
  }

  /** Forgets everything and goes on at `offset` of the log of `topicId`. */
  restart(topicId: string, offset: number): void {
    this.epoch++;
    this.topicId = topicId;
    this.fetchOffset = offset;
    this.#chunks = [];
    this.#count = 0;
    this.#bytes = 0;
  }

  #taken(records: KafkaRecord[], bytes: number): { records: KafkaRecord[]; bytes: number } {
    this.#count -= records.length;
    this.#bytes -= bytes;
    return { records, bytes };
  }

  #firstWaiting(): number | undefined {
    const chunk = this.#chunks[0];
    return chunk?.records[chunk.head]?.offset;
  }
}
