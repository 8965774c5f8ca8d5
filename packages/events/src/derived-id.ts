/**
 * Ids that are made from where a record lies, so that every delivery of it makes the same one.
 *
 * A UUID of version 8 (RFC 9562, 5.8): like version 7 it begins with 48 bits of milliseconds, because
 * ids in the order of arrival keep an index's inserts on few pages; the other 74 bits are a hash of the
 * whole identity. It does not resist forgery and need not: whoever may write records may also send any
 * `event_id` as it stands.
 */
import { murmur128 } from "./murmur.ts";
import type { Position } from "./position.ts";

/** Id of an event that was sent without one, from topic, partition, offset and record timestamp. */
export function derivedEventId(position: Position): string {
  return uuidOf(position, writePosition(position, EVENT));
}

/**
 * Identity of a dead letter: its position and its bytes. A replayed one has another position; hand in
 * its first. A tombstone (`null`) is not an empty value.
 */
export function deadLetterId(position: Position, bytes: Uint8Array | null): string {
  let length = writePosition(position, bytes === null ? TOMBSTONE : DEAD_LETTER);
  if (bytes !== null) for (const part of murmur128(bytes)) length = writeWord(length, part);
  return uuidOf(position, length);
}

// What the id is for, so that a dead letter and an event of one position differ.
const EVENT = 0;
const DEAD_LETTER = 1;
const TOMBSTONE = 2;

const LONGEST_TOPIC = 249;
// Written and read within one call, never across two.
const scratch = new Uint8Array(24 + 2 * LONGEST_TOPIC + 16);

/** Writes purpose, position and topic into `scratch`; their length. */
function writePosition(position: Position, purpose: number): number {
  const { topic, partition, offset, timestampMillis } = position;
  let at = writeWord(0, purpose);
  at = writeWord(at, partition);
  at = writeLong(at, offset);
  at = writeLong(at, timestampMillis);
  const characters = Math.min(topic.length, LONGEST_TOPIC);
  for (let n = 0; n < characters; n++) {
    const code = topic.charCodeAt(n);
    scratch[at++] = code;
    scratch[at++] = code >>> 8;
  }
  return at;
}

function writeWord(at: number, value: number): number {
  scratch[at] = value;
  scratch[at + 1] = value >>> 8;
  scratch[at + 2] = value >>> 16;
  scratch[at + 3] = value >>> 24;
  return at + 4;
}

function writeLong(at: number, value: number): number {
  return writeWord(writeWord(at, value), Math.floor(value / 2 ** 32));
}

const UUID_LENGTH = 36;
const HYPHEN = 45;
const HEX_DIGITS = Buffer.from("0123456789abcdef");
const uuidText = Buffer.alloc(UUID_LENGTH, HYPHEN);

/** The UUID of the first `length` bytes of `scratch`. */
function uuidOf({ timestampMillis }: Position, length: number): string {
  const [a, b, c] = murmur128(scratch, length);
  writeHex(0, 8, Math.floor(timestampMillis / 65_536));
  writeHex(9, 4, timestampMillis);
  writeHex(14, 4, 0x8000 | (a & 0x0fff)); // version 8
  writeHex(19, 4, 0x8000 | ((a >>> 16) & 0x3fff)); // variant of RFC 9562
  writeHex(24, 4, b);
  writeHex(28, 8, c);
  return uuidText.toString("latin1");
}

/** Writes the lowest `digits` hexadecimal digits of a number. */
function writeHex(at: number, digits: number, value: number): void {
  for (let n = 0; n < digits; n++)
    uuidText[at + n] = HEX_DIGITS[(value >>> (4 * (digits - 1 - n))) & 15] as number;
}
