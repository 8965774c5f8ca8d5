/**
 * Stored batches (format 2) as records: only what a reader of committed records may see, from the
 * wanted offset on. Control batches (the ends of transactions), aborted transactions and holes left
 * by compaction yield no record, yet move `nextOffset` on. The checksum is not compared: TCP's and
 * the broker's own are relied on.
 */
import { bug } from "@headrace/kernel";
import { compressionsAlgorithmsByBitmask } from "@platformatic/kafka";
import { ByteReader } from "./bytes.ts";
import type { KafkaRecord, RecordHeader, TimestampType } from "./record.ts";

export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

export interface DecodedRecords {
  readonly records: readonly KafkaRecord[];
  /** The first offset that the bytes say nothing of; at least the wanted one. */
  readonly nextOffset: number;
}

/** Offset and length, before what the length counts. */
const BATCH_FRAME_BYTES = 12;
const COMPRESSION = 0b111;
const LOG_APPEND_TIME = 1 << 3;
const TRANSACTIONAL = 1 << 4;
const CONTROL = 1 << 5;
const NO_HEADERS: readonly RecordHeader[] = Object.freeze([]);

/** `bytes` may end in the middle of a batch (the broker cuts at its limit); that batch is left. */
export function decodeBatches(
  bytes: Buffer,
  topic: string,
  partition: number,
  wantedOffset: number,
  aborted: readonly AbortedTransaction[],
): DecodedRecords {
  const transactions = new Aborted(aborted);
  const records: KafkaRecord[] = [];
  let nextOffset = wantedOffset;
  for (let at = 0; at + BATCH_FRAME_BYTES <= bytes.length; ) {
    const end = at + BATCH_FRAME_BYTES + bytes.readInt32BE(at + 8);
    if (end > bytes.length) break;
    const head = readHead(bytes, at, topic, partition);
    if (head.lastOffset >= wantedOffset) {
      if (transactions.shows(head))
        readRecords(head, bytes.subarray(head.bodyAt, end), wantedOffset, records);
      nextOffset = Math.max(nextOffset, head.lastOffset + 1);
    }
    at = end;
  }
  return { records, nextOffset };
}

interface BatchHead {
  readonly topic: string;
  readonly partition: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly attributes: number;
  readonly firstTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: number;
  readonly count: number;
  readonly bodyAt: number;
}

function readHead(bytes: Buffer, at: number, topic: string, partition: number): BatchHead {
  const reader = new ByteReader(bytes, at);
  const baseOffset = reader.int64();
  reader.at += 8; // length, leader epoch
  const format = reader.int8();
  if (format !== 2) {
    const place = `${topic}-${partition} at offset ${baseOffset}`;
    throw bug("kafka.batch_unreadable", `a batch of format ${format} in ${place}; only 2 is read`);
  }
  reader.at += 4; // checksum
  const attributes = reader.int16();
  const lastOffset = baseOffset + reader.int32();
  const firstTimestamp = reader.int64();
  const maxTimestamp = reader.int64();
  const producerId = reader.int64();
  reader.at += 6; // epoch, sequence
  const count = reader.int32();
  const times = { attributes, firstTimestamp, maxTimestamp };
  return {
    topic,
    partition,
    baseOffset,
    lastOffset,
    ...times,
    producerId,
    count,
    bodyAt: reader.at,
  };
}

function readRecords(head: BatchHead, body: Buffer, from: number, into: KafkaRecord[]): void {
  const { topic, partition, baseOffset, firstTimestamp, maxTimestamp } = head;
  const appended = (head.attributes & LOG_APPEND_TIME) !== 0;
  const timestampType: TimestampType = appended ? "LOG_APPEND_TIME" : "CREATE_TIME";
  const reader = new ByteReader(decompressed(body, head));
  for (let i = 0; i < head.count; i++) {
    const length = reader.varint();
    const end = reader.at + length;
    reader.at++; // attributes: unused
    const sinceFirst = reader.varint();
    const offset = baseOffset + reader.varint();
    if (offset >= from) {
      const timestampMillis = appended ? maxTimestamp : firstTimestamp + sinceFirst;
      const key = readField(reader);
      const value = readField(reader);
      const headers = readHeaders(reader);
      into.push({ topic, partition, offset, timestampMillis, timestampType, key, value, headers });
    }
    reader.at = end;
  }
}

function readField(reader: ByteReader): Buffer | null {
  const length = reader.varint();
  return length < 0 ? null : reader.slice(length);
}

function readHeaders(reader: ByteReader): readonly RecordHeader[] {
  const count = reader.varint();
  if (count <= 0) return NO_HEADERS;
  const headers: RecordHeader[] = [];
  for (let i = 0; i < count; i++) {
    const key = reader.slice(reader.varint()).toString();
    headers.push({ key, value: readField(reader) ?? Buffer.alloc(0) });
  }
  return headers;
}

function decompressed(body: Buffer, head: BatchHead): Buffer {
  const kind = head.attributes & COMPRESSION;
  if (kind === 0) return body;
  const algorithm = compressionsAlgorithmsByBitmask[kind];
  if (algorithm === undefined) {
    const place = `${head.topic}-${head.partition} at offset ${head.baseOffset}`;
    throw bug("kafka.batch_unreadable", `compression ${kind} in ${place} is not known`);
  }
  return algorithm.decompressSync(body);
}

/**
 * Which transactions were aborted. The broker names each with the producer and its first offset;
 * from there on that producer's batches are hidden until its abort marker.
 */
class Aborted {
  readonly #coming: AbortedTransaction[];
  readonly #hidden = new Set<number>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#coming = [...aborted].sort((a, b) => b.firstOffset - a.firstOffset);
  }

  /** Whether a batch's records are for readers; batches are asked about in offset order. */
  shows(head: BatchHead): boolean {
    for (let next = this.#coming.at(-1); next !== undefined; next = this.#coming.at(-1)) {
      if (next.firstOffset > head.lastOffset) break;
      this.#hidden.add(next.producerId);
      this.#coming.pop();
    }
    if ((head.attributes & CONTROL) !== 0) {
      // Either marker ends the producer's transaction; a commit marker finds nothing hidden.
      this.#hidden.delete(head.producerId);
      return false;
    }
    const transactional = (head.attributes & TRANSACTIONAL) !== 0;
    return !(transactional && this.#hidden.has(head.producerId));
  }
}
