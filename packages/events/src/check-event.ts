/**
 * Checks one event of a collection request, as `decodeEvent` will when it comes back from Kafka, and
 * writes the record to produce. Unlike a dead letter's, the answer names every fault.
 */
import { formatCents } from "@headrace/kernel";
import { type Event, toEvent } from "./event.ts";
import { elementsOf } from "./json-text.ts";
import { decodeJson, JsonValue, parseJson } from "./json-value.ts";
import { readEvent } from "./read-event.ts";
import { type Refusal, refusals } from "./refusal.ts";
import type { TimeMargins } from "./time-limits.ts";

export interface CheckOptions {
  readonly horizonDays: number;
  readonly margins?: TimeMargins;
  /** Makes the id of an event that brings none; a UUID. */
  readonly makeId: () => string;
}

export type EventCheck =
  | {
      readonly ok: true;
      readonly event: Event;
      /** The record's value to produce; its key is `event.userId`. */
      readonly json: string;
    }
  | { readonly ok: false; readonly faults: readonly [Refusal, ...Refusal[]] };

/**
 * Checks an item of `splitEvents`, or any JSON value (whose integers past 2^53 whoever parsed it has
 * already rounded). Limits of the event's time are counted from `at`.
 */
export function checkEvent(
  input: unknown,
  at: { readonly timestampMillis: number },
  options: CheckOptions,
): EventCheck {
  const json = input instanceof JsonValue ? input : jsonOf(input);
  if (json === undefined) return { ok: false, faults: [refusals.notJson] };
  const { makeId, ...limits } = options;
  const reading = readEvent(json, { timestampMillis: at.timestampMillis, ...limits });
  if (!("fields" in reading)) return { ok: false, faults: reading };
  const event = toEvent(reading.fields, reading.fields.event_id ?? makeId(), reading.data);
  return { ok: true, event, json: eventJson(event) };
}

export interface EventBatch {
  /** Whether the body was an array, which is answered item by item. */
  readonly isArray: boolean;
  /** For `checkEvent`; whatever JSON they are. */
  readonly items: readonly JsonValue[];
}

/**
 * The events of a request's body, one or an array, however deep they nest; a refusal where it is not
 * JSON in UTF-8. What is no text in one event (a raw NUL, half a surrogate pair) is that event's fault.
 */
export function splitEvents(body: Uint8Array): EventBatch | Refusal {
  const json = decodeJson(body);
  if (json === undefined) return refusals.notJson;
  const { text, value } = json;
  if (!Array.isArray(value)) return { isArray: false, items: [json] };
  const items = elementsOf(text).map((item, n) => new JsonValue(item, value[n]));
  return { isArray: true, items };
}

/** The JSON of an event as it is produced to Kafka; `decodeEvent` makes the same event of it. */
export function eventJson(event: Event): string {
  const { amountCents } = event;
  const fields = {
    event_id: event.id,
    event_time: event.timeText,
    event_type: event.type,
    user_id: event.userId,
    session_id: event.sessionId ?? undefined,
    value: event.value ?? undefined,
    amount: amountCents === null ? undefined : formatCents(amountCents),
    duration: event.durationSeconds ?? undefined,
    category: event.category ?? undefined,
    product_id: event.productId ?? undefined,
    region: event.region ?? undefined,
  };
  const text = JSON.stringify(fields);
  return event.data === null ? text : `${text.slice(0, -1)},"data":${event.data}}`;
}

/** Undefined for what JSON cannot say (a bigint, a cycle); what it leaves out (a function) is no object. */
function jsonOf(input: unknown): JsonValue | undefined {
  try {
    return parseJson(JSON.stringify(input) ?? "null");
  } catch {
    return undefined;
  }
}
