/** Decodes a record as one of `POSITION`, for tests that ask what becomes of it. */
import { decodeEvent, type Event, isRefusal, type Refusal } from "@headrace/events";
import { OPTIONS, POSITION } from "./records.ts";

export const decode = (value: string | Buffer | null): Event | Refusal =>
  decodeEvent(typeof value === "string" ? Buffer.from(value) : value, POSITION, OPTIONS);

/** The event of a value that is one. */
export function accepted(value: string): Event {
  const outcome = decode(value);
  if (isRefusal(outcome))
    throw new Error(`${value} is refused: ${outcome.code} ${outcome.message}`);
  return outcome;
}

/** The code of the refusal, or `accepted`. */
export function codeOf(value: string | Buffer | null): string {
  const outcome = decode(value);
  return isRefusal(outcome) ? outcome.code : "accepted";
}
