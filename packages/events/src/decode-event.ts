/**
 * A record of topic `events` → an event, or why it can never be one. The same bytes at the same
 * position give the same answer, for ever; nothing is thrown.
 */
import { derivedEventId } from "./derived-id.ts";
import { type Event, toEvent } from "./event.ts";
import { decodeJson } from "./json-value.ts";
import type { Position } from "./position.ts";
import { readEvent } from "./read-event.ts";
import { type Refusal, refusals } from "./refusal.ts";
import { scanEvent } from "./scan-event.ts";

export interface DecodeOptions {
  /** Days before its record's timestamp that an event may lie. */
  readonly horizonDays: number;
  /** Of a replayed dead letter: the position that a missing id is made from. */
  readonly firstPosition?: Position;
}

/** Reads a record's value. Limits of the event's time are counted from `position.timestampMillis`. */
export function decodeEvent(
  value: Buffer | null,
  position: Position,
  options: DecodeOptions,
): Event | Refusal {
  if (value === null) return refusals.tombstone;
  return scanEvent(value, position, options) ?? decodeThoroughly(value, position, options);
}

/** `decodeEvent` without its shortcut. */
export function decodeThoroughly(
  value: Buffer,
  position: Position,
  options: DecodeOptions,
): Event | Refusal {
  const json = decodeJson(value);
  if (json === undefined) return refusals.notJson;
  const { timestampMillis } = position;
  const reading = readEvent(json, { timestampMillis, horizonDays: options.horizonDays });
  if (!("fields" in reading)) return reading[0];
  const { fields, data } = reading;
  const id = fields.event_id ?? derivedEventId(options.firstPosition ?? position);
  return toEvent(fields, id, data);
}
