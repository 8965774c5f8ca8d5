/**
 * Where a record lies in Kafka. A dead letter that is sent again lies somewhere else than it did at
 * first, so it carries its first position in a header, and an id that is made from a position is made
 * from that one: replaying the same dead letter twice stores one event.
 */
export interface Position {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The record's Kafka timestamp; offsets restart when a topic is re-created, this tells the logs apart. */
  readonly timestampMillis: number;
}

/** Name of the header that holds `encodeFirstPosition`. */
export const FIRST_POSITION_HEADER = "headrace-first-position";

/** `topic/partition/offset/timestamp`; a topic's name never holds a slash. */
export function encodeFirstPosition(position: Position): string {
  const { topic, partition, offset, timestampMillis } = position;
  return `${topic}/${partition}/${offset}/${timestampMillis}`;
}

const ENCODED = /^([A-Za-z0-9._-]{1,249})\/(\d{1,10})\/(\d{1,16})\/(-?\d{1,16})$/;
const MAX_PARTITION = 2 ** 31 - 1;

/**
 * The position that a header holds, or undefined for whatever `encodeFirstPosition` does not write:
 * headers come from any client, and a damaged one must not stop its record.
 */
export function parseFirstPosition(text: string): Position | undefined {
  const match = ENCODED.exec(text);
  if (match === null) return undefined;
  const [, topic = "", partition, offset, timestamp] = match;
  const position: Position = {
    topic,
    partition: Number(partition),
    offset: Number(offset),
    timestampMillis: Number(timestamp),
  };
  const fits =
    position.partition <= MAX_PARTITION &&
    Number.isSafeInteger(position.offset) &&
    Number.isSafeInteger(position.timestampMillis) &&
    topic !== "." &&
    topic !== "..";
  // Leading zeros, "-0" and whatever else does not survive the way back.
  return fits && encodeFirstPosition(position) === text ? position : undefined;
}
