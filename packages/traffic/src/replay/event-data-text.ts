/** The `data` of an event made from a row: what a column mapped to `data` holds, and all other columns. */
import { isJsonObject } from "./exact-json.ts";

export interface Member {
  readonly name: string;
  /** JSON text of its value. */
  readonly text: string;
}

/**
 * JSON text of an event's data; undefined where there is none. `own` is the value mapped to `data`,
 * refused by the schema where it is no object. A column whose name it has taken stands under `_top`.
 */
export function dataText(own: unknown, columns: readonly Member[]): string | undefined {
  if (own === undefined) return columns.length === 0 ? undefined : objectText(columns);
  if (!isJsonObject(own)) return JSON.stringify(own);
  const members = Object.entries(own).map(([name, value]) => ({
    name,
    text: JSON.stringify(value),
  }));
  const clashing = columns.filter(({ name }) => Object.hasOwn(own, name));
  const free = columns.filter(({ name }) => !Object.hasOwn(own, name));
  if (clashing.length === 0) return objectText([...members, ...free]);
  let name = "_top";
  while ([...members, ...free].some((member) => member.name === name)) name = `_${name}`;
  return objectText([...members, ...free, { name, text: objectText(clashing) }]);
}

function objectText(members: readonly Member[]): string {
  let json = "";
  for (const { name, text } of members)
    json += `${json === "" ? "{" : ","}${JSON.stringify(name)}:${text}`;
  return json === "" ? "{}" : `${json}}`;
}
