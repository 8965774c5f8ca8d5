/**
 * The thorough way to read an event: parsed JSON and the schema, for every record that `scanEvent` does
 * not take, and for everything that is refused, with all faults by name.
 */
import { EventFields, FIELD_NAMES, type FieldName, MAX_TEXT_LENGTH } from "./event.ts";
import { gatherData } from "./event-data.ts";
import { parseInstant } from "./instant.ts";
import { integerText } from "./json-number.ts";
import { type Member, membersOf, unfitCharacterAt } from "./json-text.ts";
import type { JsonValue } from "./json-value.ts";
import { fieldRefusal, type Refusal, refusals } from "./refusal.ts";
import { type TimeLimits, timeRefusal } from "./time-limits.ts";

export interface EventReading {
  readonly fields: EventFields;
  /** JSON text of the event's data, unknown fields included. */
  readonly data: string | null;
}

/**
 * The fields of an event, or all its faults in the order that decides which one names a dead letter:
 * the text as a whole, the fields in the schema's order (of each field one fault), the time's limits.
 */
export function readEvent(
  { text, value }: JsonValue,
  limits: TimeLimits,
): EventReading | readonly [Refusal, ...Refusal[]] {
  if (!isObject(value)) return [refusals.notObject];
  const members = membersOf(text);
  const byName = new Map(members.map((member) => [member.name, member]));
  const data = gatherData(text, byName);
  const parsed = EventFields.safeParse(ownFields(value, text, byName));

  const [first, ...others] = [
    ...textFaults(text, members),
    ...fieldFaults(parsed.error?.issues ?? [], data.fault),
    ...timeFaults(value.event_time, limits),
  ];
  if (first !== undefined) return [first, ...others];
  return { fields: parsed.data as EventFields, data: data.text };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What the schema judges: the event's own fields, a numeric user id as its exact text. */
function ownFields(
  value: Record<string, unknown>,
  text: string,
  members: ReadonlyMap<string, Member>,
): Partial<Record<FieldName, unknown>> {
  const fields: Partial<Record<FieldName, unknown>> = {};
  for (const name of FIELD_NAMES) fields[name] = value[name];
  const user = members.get("user_id");
  if (typeof fields.user_id === "number" && user !== undefined) {
    const digits = integerText(text.slice(user.start, user.end), MAX_TEXT_LENGTH);
    fields.user_id = digits ?? Number.NaN; // NaN: a number that is no integer, whatever it was rounded to
  }
  return fields;
}

function textFaults(text: string, members: readonly Member[]): Refusal[] {
  const at = unfitCharacterAt(text);
  if (at < 0) return [];
  const name = members.find((member) => member.start <= at && at < member.end)?.name;
  const known = FIELD_NAMES.find((field) => field === name);
  const message = "holds a NUL character or half a surrogate pair";
  return [{ code: "event.text", message, path: known === undefined ? "" : `/${known}` }];
}

function fieldFaults(
  issues: readonly { path: PropertyKey[]; message: string }[],
  dataFault: string | undefined,
): Refusal[] {
  const faults = new Map<string, Refusal>();
  for (const { path, message } of issues) {
    const field = String(path[0]);
    if (!faults.has(field)) faults.set(field, fieldRefusal(field, message));
  }
  if (dataFault !== undefined && !faults.has("data"))
    faults.set("data", fieldRefusal("data", dataFault));
  return [...faults.values()];
}

function timeFaults(time: unknown, limits: TimeLimits): Refusal[] {
  const instant = typeof time === "string" ? parseInstant(time) : undefined;
  const refusal = instant === undefined ? undefined : timeRefusal(instant.micros, limits);
  return refusal === undefined ? [] : [refusal];
}
