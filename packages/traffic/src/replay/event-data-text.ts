/** The `data` of an event made from a row: what a column mapped to `data` holds, and all other columns. */
import { isJsonObject } from "./exact-json.ts";

export interface Member {
  readonly name: string;
  /** JSON text of name and value. */
  readonly text: string;
}

export function memberOf(name: string, value: unknown): Member {
  return { name, text: nameText(name) + JSON.stringify(value) };
}

/**
 * JSON text of an event's data; undefined where there is none. `own` is the value mapped to `data`,
 * refused by the schema where it is no object. A column whose name it has taken stands under `_top`.
 */
export function dataText(own: unknown, columns: readonly Member[]): string | undefined {
  if (own === undefined) return columns.length === 0 ? undefined : objectText(columns);
  if (!isJsonObject(own)) return JSON.stringify(own);
  const members = Object.entries(own).map(([name, value]) => memberOf(name, value));
  const clashing = columns.filter(({ name }) => Object.hasOwn(own, name));
  members.push(...columns.filter(({ name }) => !Object.hasOwn(own, name)));
  if (clashing.length === 0) return objectText(members);
  let name = "_top";
  while (members.some((member) => member.name === name)) name = `_${name}`;
  return objectText([...members, { name, text: nameText(name) + objectText(clashing) }]);
}

function objectText(members: readonly Member[]): string {
  let json = "{";
  for (const { text } of members) json += json.length === 1 ? text : `,${text}`;
  return `${json}}`;
}

/** Columns repeat from row to row; only a file of objects can bring ever new ones. */
const MOST_NAMES_KEPT = 10_000;
const nameTexts = new Map<string, string>();

function nameText(name: string): string {
  let text = nameTexts.get(name);
  if (text === undefined) {
    text = `${JSON.stringify(name)}:`;
    if (nameTexts.size < MOST_NAMES_KEPT) nameTexts.set(name, text);
  }
  return text;
}
