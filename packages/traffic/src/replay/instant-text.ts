/** Times as files have them. One that names no offset is in UTC. */
import { type Instant, parseInstant } from "@headrace/events";

const DATE = String.raw`(\d{4}-\d\d-\d\d)`;
const TIME = String.raw`(\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?`;
const OFFSET = String.raw`(?:[zZ]|UTC|GMT|([+-]\d\d)(?::?(\d\d))?)?`;
const SPACE = 32;
const FORM = new RegExp(`^${DATE}(?:[Tt ]${TIME} ?${OFFSET})?$`);

/**
 * The instant of `2026-01-31`, `2026-01-31 10:15`, `2026-01-31 10:15:00.25`, `2026-01-31T10:15:00+02`
 * and the like, or undefined where the text is none of them. Nothing is guessed: neither the order of
 * day and month nor the unit of a bare number.
 */
export function readInstant(text: string): Instant | undefined {
  // By far the most frequent, and twice as quick without the pattern.
  if (text.length === 19 && text.charCodeAt(10) === SPACE)
    return parseInstant(`${text.slice(0, 10)}T${text.slice(11)}Z`);
  return parseInstant(text) ?? readOtherForm(text);
}

function readOtherForm(text: string): Instant | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [, date, minute = "00:00", second = "00", fraction, hours, minutes = "00"] = match;
  const offset = hours === undefined ? "Z" : `${hours}:${minutes}`;
  const rest = fraction === undefined ? "" : `.${fraction}`;
  return parseInstant(`${date}T${minute}:${second}${rest}${offset}`);
}

/** The text of an instant in UTC; `micros` is a safe integer. */
export function instantText(micros: number): string {
  const millis = Math.floor(micros / 1000);
  const below = micros - millis * 1000;
  const text = new Date(millis).toISOString();
  return below === 0 ? text : `${text.slice(0, -1)}${String(below).padStart(3, "0")}Z`;
}
