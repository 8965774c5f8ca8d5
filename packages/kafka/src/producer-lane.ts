/**
 * What waits to be written to one partition. At most one batch is under way, and it is repeated byte
 * for byte (same producer identity, same sequence) until the broker accepts or refuses it: that is
 * how the broker tells a repetition from new records, and why order holds.
 *
 * A batch given up without a definite answer may still be stored later. The identity it used is then
 * spent: the sequence after it is not known any more.
 */
import { AppError } from "@headrace/kernel";
import { encodeBatch, type PreparedRecord, type ProducerIdentity } from "./encode-batch.ts";
import { BrokerRefusal, isPassing, toAppError } from "./errors.ts";
import type { SendCall } from "./send-call.ts";

export interface WaitingRecord {
  readonly call: SendCall;
  /** Which of its call's records it is. */
  readonly slot: number;
  readonly record: PreparedRecord;
}

interface Batch {
  readonly entries: readonly WaitingRecord[];
  readonly identity: ProducerIdentity;
  readonly bytes: Buffer;
  /** An earlier attempt ended without an answer. */
  uncertain: boolean;
}

/** Well under a topic's default `max.message.bytes` of 1 MiB; larger ones gain nothing. */
const BATCH_BYTES = 512 * 1024;
const MAX_SEQUENCE = 0x7fff_ffff;
const WITHOUT_STATE = new Set([
  "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "UNKNOWN_PRODUCER_ID",
  "INVALID_PRODUCER_EPOCH",
  "INVALID_PRODUCER_ID_MAPPING",
  "PRODUCER_FENCED",
]);
/** Refusals for which some of a batch's records are to blame, not the rest. */
const OF_SOME_RECORDS = new Set([
  "MESSAGE_TOO_LARGE",
  "RECORD_LIST_TOO_LARGE",
  "INVALID_RECORD",
  "INVALID_TIMESTAMP",
]);
const PERHAPS_STORED = new Set(["REQUEST_TIMED_OUT", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"]);

export class Lane {
  readonly topic: string;
  readonly partition: number;
  underWay = false;
  #queue: WaitingRecord[] = [];
  /** Entries of the queue before this one are taken. */
  #head = 0;
  #batch: Batch | undefined;
  #batchBytes = BATCH_BYTES;
  #identity: ProducerIdentity | undefined;
  #spent: ProducerIdentity | undefined;
  #nextSequence = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  add(entry: WaitingRecord): void {
    this.#queue.push(entry);
  }

  /** Something is to be sent and nothing is under way. Gives up a batch that nobody waits for. */
  isWaiting(): boolean {
    if (this.underWay) return false;
    if (this.#batch?.entries.every((entry) => entry.call.isOver)) this.#giveUp();
    return this.#batch !== undefined || this.#head < this.#queue.length;
  }

  /**
   * The batch to send: the one under way if there is one, else the next. "renew" asks for another
   * identity; undefined when nothing is left to send.
   */
  freeze(identity: ProducerIdentity): Buffer | "renew" | undefined {
    if (this.#batch !== undefined) return this.#batch.bytes;
    if (identity === this.#spent) return "renew";
    const entries = this.#take();
    if (entries.length === 0) return undefined;
    if (identity !== this.#identity) {
      this.#identity = identity;
      this.#nextSequence = 0;
    }
    if (this.#nextSequence + entries.length > MAX_SEQUENCE) {
      this.#putBack(entries);
      this.#spent = identity;
      return "renew";
    }
    const records = entries.map((entry) => entry.record);
    const bytes = encodeBatch(records, identity, this.#nextSequence, Date.now());
    this.#batch = { entries, identity, bytes, uncertain: false };
    return bytes;
  }

  /** The batch is stored, its first record at `baseOffset`. */
  stored(baseOffset: number): void {
    const entries = this.#batch?.entries ?? [];
    this.#batch = undefined;
    this.#nextSequence += entries.length;
    const { topic, partition } = this;
    for (const [i, { call, slot }] of entries.entries())
      call.stored(slot, { topic, partition, offset: baseOffset + i });
  }

  /** Keeps what is to be tried again and answers the callers of the rest. */
  failed(error: unknown, brokers: readonly string[]): void {
    const batch = this.#batch;
    if (isWorthWaiting(error)) {
      if (batch !== undefined) batch.uncertain ||= isUncertain(error);
      for (const { call } of batch?.entries ?? this.#queue.slice(this.#head)) call.note(error);
      return;
    }
    const stateLost = error instanceof BrokerRefusal && WITHOUT_STATE.has(error.id);
    if (batch !== undefined && stateLost && !batch.uncertain) {
      this.#spent = batch.identity;
      this.#unfreeze(batch);
      return;
    }
    const ofSome = error instanceof BrokerRefusal && OF_SOME_RECORDS.has(error.id);
    if (batch !== undefined && ofSome && batch.entries.length > 1) {
      this.#batchBytes = Math.min(this.#batchBytes, batch.bytes.length) / 2;
      this.#unfreeze(batch);
      return;
    }
    this.#refuse(toAppError(error, `writing to topic "${this.topic}"`, brokers));
  }

  /** Everything, or just the batch where there is one, will not be stored. */
  #refuse(error: AppError): void {
    const entries = this.#batch?.entries ?? this.#queue.splice(0).slice(this.#head);
    if (this.#batch === undefined) this.#head = 0;
    else this.#giveUp();
    this.#batchBytes = BATCH_BYTES;
    for (const { call } of entries) call.refused(error);
  }

  #giveUp(): void {
    this.#spent = this.#batch?.identity;
    this.#batch = undefined;
  }

  #unfreeze(batch: Batch): void {
    this.#batch = undefined;
    this.#putBack(batch.entries);
  }

  #putBack(entries: readonly WaitingRecord[]): void {
    this.#queue = [...entries, ...this.#queue.slice(this.#head)];
    this.#head = 0;
  }

  /** The next records, at least one if any waits, without those whose caller was answered. */
  #take(): readonly WaitingRecord[] {
    const entries: WaitingRecord[] = [];
    let bytes = 0;
    for (; this.#head < this.#queue.length; this.#head++) {
      const entry = this.#queue[this.#head];
      if (entry === undefined || entry.call.isOver) continue;
      if (entries.length > 0 && bytes + entry.record.size > this.#batchBytes) break;
      bytes += entry.record.size;
      entries.push(entry);
    }
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head > COMPACT_FROM) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return entries;
  }
}

/** Taken entries are dropped in bulk: one at a time would move the rest each time. */
const COMPACT_FROM = 4_096;

function isWorthWaiting(error: unknown): boolean {
  if (error instanceof AppError) return error.code === "kafka.unavailable";
  return isPassing(error);
}

function isUncertain(error: unknown): boolean {
  return !(error instanceof BrokerRefusal) || PERHAPS_STORED.has(error.id);
}
