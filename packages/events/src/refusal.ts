/**
 * Why an event is refused. `code` is stable: `event.tombstone`, `event.not_json`, `event.not_object`,
 * `event.text` (a NUL character or half a surrogate pair anywhere, escaped or as bytes),
 * `event.<field>` (a field that breaks its rule), `event.too_old`, `event.in_future`. Neither message
 * nor path holds anything that a database could not store or a log should not show: no value of the
 * event is repeated.
 */
import type { Event } from "./event.ts";

export interface Refusal {
  readonly code: string;
  readonly message: string;
  /** JSON pointer into the event (`/event_time`); empty for the event as a whole. */
  readonly path: string;
}

export function isRefusal(outcome: Event | Refusal): outcome is Refusal {
  return "code" in outcome;
}

export const refusals = {
  tombstone: whole("event.tombstone", "has no value: this topic knows no deletes"),
  notJson: whole("event.not_json", "is not JSON in UTF-8"),
  notObject: whole("event.not_object", "is not a JSON object"),
};

/** The refusal of a field that breaks its rule. */
export function fieldRefusal(field: string, message: string): Refusal {
  return { code: `event.${field}`, message, path: `/${field}` };
}

function whole(code: string, message: string): Refusal {
  return { code, message, path: "" };
}
