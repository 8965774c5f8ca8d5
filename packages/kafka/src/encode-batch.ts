/**
 * Records as one batch of Kafka's format 2: one flat buffer, written once, uncompressed. All records
 * of a batch carry one timestamp, the moment it was put together.
 */
import { crc32c } from "@platformatic/kafka";
import { varintSize, writeVarint } from "./bytes.ts";
import type { OutgoingRecord } from "./record.ts";

/** A record whose texts are bytes already. */
export interface PreparedRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Buffer[];
  /** Bytes of key, value and headers with their lengths; the frame of a record adds at most 12. */
  readonly size: number;
}

/** Who writes, as the broker knows idempotent producers. */
export interface ProducerIdentity {
  readonly id: bigint;
  readonly epoch: number;
}

/** From the offset field to the count of records. */
const BATCH_HEAD_BYTES = 61;
/** Where the checksum begins: after the checksum field itself. */
const CHECKED_FROM = 21;
const RECORD_FRAME_BYTES = 12;

export function prepareRecord(record: OutgoingRecord): PreparedRecord {
  const key = bytesOf(record.key ?? null);
  const value = bytesOf(record.value);
  const headers: Buffer[] = [];
  let size = fieldSize(key) + fieldSize(value) + 1;
  if (record.headers !== undefined) {
    for (const [name, text] of Object.entries(record.headers))
      headers.push(Buffer.from(name), Buffer.from(text));
    for (const part of headers) size += fieldSize(part);
    size += varintSize(headers.length / 2) - 1;
  }
  return { key, value, headers, size };
}

export function encodeBatch(
  records: readonly PreparedRecord[],
  producer: ProducerIdentity,
  baseSequence: number,
  timestampMillis: number,
): Buffer {
  let room = BATCH_HEAD_BYTES;
  for (const record of records) room += record.size + RECORD_FRAME_BYTES;
  const batch = Buffer.allocUnsafe(room);
  let at = BATCH_HEAD_BYTES;
  for (let i = 0; i < records.length; i++) at = writeRecord(batch, at, i, records[i]);
  writeHead(batch, at, records.length, producer, baseSequence, timestampMillis);
  batch.writeUInt32BE(crc32c(batch.subarray(CHECKED_FROM, at)), 17);
  return batch.subarray(0, at);
}

function writeHead(
  batch: Buffer,
  length: number,
  count: number,
  producer: ProducerIdentity,
  baseSequence: number,
  timestampMillis: number,
): void {
  const time = BigInt(timestampMillis);
  batch.writeBigInt64BE(0n, 0); // the broker sets the offset
  batch.writeInt32BE(length - 12, 8);
  batch.writeInt32BE(-1, 12); // leader epoch: the broker's
  batch.writeInt8(2, 16); // format
  batch.writeInt16BE(0, 21); // no compression, own timestamps, no transaction
  batch.writeInt32BE(count - 1, 23);
  batch.writeBigInt64BE(time, 27);
  batch.writeBigInt64BE(time, 35);
  batch.writeBigInt64BE(producer.id, 43);
  batch.writeInt16BE(producer.epoch, 51);
  batch.writeInt32BE(baseSequence, 53);
  batch.writeInt32BE(count, 57);
}

function writeRecord(
  batch: Buffer,
  from: number,
  index: number,
  record: PreparedRecord | undefined,
): number {
  if (record === undefined) return from;
  // attributes (1 byte) and the time since the batch's (0, 1 byte), then the rest
  let at = writeVarint(batch, from, 2 + varintSize(index) + record.size);
  batch[at++] = 0;
  batch[at++] = 0;
  at = writeVarint(batch, at, index);
  at = writeField(batch, at, record.key);
  at = writeField(batch, at, record.value);
  at = writeVarint(batch, at, record.headers.length / 2);
  for (const part of record.headers) at = writeField(batch, at, part);
  return at;
}

function writeField(batch: Buffer, from: number, field: Buffer | null): number {
  if (field === null) return writeVarint(batch, from, -1);
  const at = writeVarint(batch, from, field.length);
  batch.set(field, at);
  return at + field.length;
}

function fieldSize(field: Buffer | null): number {
  return field === null ? 1 : varintSize(field.length) + field.length;
}

function bytesOf(field: Buffer | string | null): Buffer | null {
  return typeof field === "string" ? Buffer.from(field) : field;
}
