/**
 * One partition's share of a delivery, decoded once however often its transaction is tried.
 *
 * Decoding is lazy and in pieces, so that it can run while PostgreSQL takes in the piece before.
 */
import { decodeEvent, type Event, isRefusal, type Position, type Refusal } from "@headrace/events";

/** A record as it came from Kafka. */
export interface IncomingRecord {
  readonly offset: number;
  /** Milliseconds since 1970, as Kafka gave them. */
  readonly timestampMillis: number;
  /** Whether the broker or the producer set the timestamp. */
  readonly timestampType: "CREATE_TIME" | "LOG_APPEND_TIME";
  readonly key: Buffer | null;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
  /** Of a dead letter that was sent again: where it stood first, from which its ids are made. */
  readonly firstPosition?: Position | undefined;
}

/** Records of one partition in the order of their offsets; at least one, none twice. */
export interface PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly records: Iterable<IncomingRecord>;
  /** Of a part of a delivery: the offset at which the next part begins. Nothing lies between them. */
  readonly goesOnAt?: number | undefined;
}

/** A record after decoding: an event, or the reason why it can never be one. */
export interface DecodedRecord {
  readonly record: IncomingRecord;
  /** The record's timestamp that counts, in µs: the database's clock where a producer is far ahead. */
  readonly recordMicros: number;
  readonly event: Event | null;
  readonly refusal: Refusal | null;
}

/** How far ahead of the database's clock a producer's timestamp may be, in ms. */
const FUTURE_MILLIS = 5 * 60_000;

export class DecodedBatch {
  readonly batch: PartitionBatch;
  /** Why none of its events is to be stored: what is new of them becomes dead letters. */
  readonly setAside: Refusal | undefined;
  readonly #source: Iterator<IncomingRecord>;
  readonly #horizonDays: number;
  readonly #decoded: DecodedRecord[] = [];

  constructor(batch: PartitionBatch, horizonDays: number, setAside?: Refusal) {
    this.batch = batch;
    this.setAside = setAside;
    this.#source = batch.records[Symbol.iterator]();
    this.#horizonDays = horizonDays;
  }

  /** Records `from` up to, not with, `to`, as far as there are any. */
  slice(from: number, to: number, databaseMillis: number): readonly DecodedRecord[] {
    while (this.#decoded.length < to) {
      const { done, value } = this.#source.next();
      if (done === true) break;
      this.#decoded.push(this.#decode(value, databaseMillis));
    }
    return this.#decoded.slice(from, to);
  }

  all(databaseMillis: number): readonly DecodedRecord[] {
    return this.slice(0, Number.POSITIVE_INFINITY, databaseMillis);
  }

  position(record: IncomingRecord): Position {
    const { topic, partition } = this.batch;
    const { offset, timestampMillis } = record;
    return record.firstPosition ?? { topic, partition, offset, timestampMillis };
  }

  #decode(record: IncomingRecord, databaseMillis: number): DecodedRecord {
    const isAhead =
      record.timestampType === "CREATE_TIME" &&
      record.timestampMillis > databaseMillis + FUTURE_MILLIS;
    // A producer may also send none (-1), or one that no database can hold.
    const timestampMillis = isAhead ? databaseMillis : Math.max(0, record.timestampMillis);
    const decoded = this.#eventOf(record, timestampMillis);
    const recordMicros = timestampMillis * 1000;
    return isRefusal(decoded)
      ? { record, recordMicros, event: null, refusal: decoded }
      : { record, recordMicros, event: decoded, refusal: null };
  }

  #eventOf(record: IncomingRecord, timestampMillis: number): Event | Refusal {
    const { topic, partition } = this.batch;
    try {
      return decodeEvent(
        record.value,
        { topic, partition, offset: record.offset, timestampMillis },
        { horizonDays: this.#horizonDays, firstPosition: this.position(record) },
      );
    } catch (error) {
      // What was given up may have been so because nobody knew how to decode it.
      if (this.setAside === undefined) throw error;
      return this.setAside;
    }
  }
}
