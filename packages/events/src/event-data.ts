/**
 * The `data` of an event as the JSON text to store: what the client put there, and with it every
 * top-level field that is not one of the event's own, so that nothing sent is lost.
 */
import { FIELD_NAMES } from "./event.ts";
import { type Member, membersOf, shapeOf } from "./json-text.ts";

/** UTF-8 bytes of the text after unknown fields have moved in. */
export const MAX_DATA_BYTES = 16 * 1024;

/** Objects and arrays within each other, `data` itself among them; PostgreSQL reads jsonb by recursion. */
export const MAX_DATA_DEPTH = 64;

export interface EventData {
  /** Null when the event has nothing beyond its own fields. */
  readonly text: string | null;
  /** The rule that the text breaks. */
  readonly fault: string | undefined;
}

/**
 * The data of an event whose JSON text is `text`. `members` are the event's, by name, the last of each
 * name. A `data` that is no object counts as none; the schema refuses it.
 */
export function gatherData(text: string, members: ReadonlyMap<string, Member>): EventData {
  const own = members.get("data");
  const ownText =
    own !== undefined && text[own.start] === "{" ? text.slice(own.start, own.end) : "";
  const unknown = [...members].filter(([name]) => !KNOWN.has(name)).map(([, member]) => member);
  if (ownText === "" && unknown.length === 0) return { text: null, fault: undefined };

  const { compact, depth, hasUnfitNumber } = shapeOf(merged(text, ownText, unknown));
  if (Buffer.byteLength(compact) > MAX_DATA_BYTES) {
    return { text: null, fault: "must be at most 16 KiB of JSON, unknown fields included" };
  }
  if (depth > MAX_DATA_DEPTH) {
    return { text: null, fault: `must not nest deeper than ${MAX_DATA_DEPTH} levels` };
  }
  if (hasUnfitNumber)
    return { text: null, fault: "must not hold a number that no double can hold" };
  return { text: compact, fault: undefined };
}

const KNOWN: ReadonlySet<string> = new Set(FIELD_NAMES);

function merged(text: string, ownText: string, unknown: readonly Member[]): string {
  if (unknown.length === 0) return ownText;
  const own = ownText === "" ? [] : membersOf(ownText);
  const taken = new Set(own.map((member) => member.name));
  const written = (member: Member) => `${member.nameText}:${text.slice(member.start, member.end)}`;
  const parts = own.length === 0 ? [] : [ownText.slice(1, -1)];
  parts.push(...unknown.filter((member) => !taken.has(member.name)).map(written));
  const clashing = unknown.filter((member) => taken.has(member.name)).map(written);
  if (clashing.length > 0) {
    for (const { name } of unknown) taken.add(name);
    parts.push(`"${freeName(taken)}":{${clashing.join()}}`);
  }
  return `{${parts.join()}}`;
}

/** `_top`, unless the client has taken that too: then `__top` and so on. */
function freeName(taken: ReadonlySet<string>): string {
  let name = "_top";
  while (taken.has(name)) name = `_${name}`;
  return name;
}
