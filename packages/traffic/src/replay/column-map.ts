/**
 * Which column of a file is which field of an event. A column that carries a field's name is that
 * field, unless `--map` says otherwise; what is no field goes to `data`.
 */
import { EventFields } from "@headrace/events";
import { invalid } from "@headrace/kernel";

export type FieldName = keyof EventFields;

/** In the schema's order. */
export const FIELDS = Object.keys(EventFields.shape) as readonly FieldName[];

const REQUIRED: readonly FieldName[] = ["event_time", "event_type", "user_id"];

/** What `--map` says: the column of each field that it names; "" for a field that has none. */
export type MapChoices = ReadonlyMap<FieldName, string>;

/** Reads `field=column,field=column`; throws `replay.map`. */
export function parseMap(texts: readonly string[]): MapChoices {
  const choices = new Map<FieldName, string>();
  for (const part of texts.flatMap((text) => text.split(","))) {
    const equals = part.indexOf("=");
    if (equals < 0) throw invalid("replay.map", `--map: "${part}" is not field=column`);
    const field = part.slice(0, equals).trim();
    const column = part.slice(equals + 1).trim();
    if (!isField(field)) throw invalid("replay.map", `--map: ${noField(field, column)}`);
    if (choices.has(field)) throw invalid("replay.map", `--map names the field "${field}" twice`);
    choices.set(field, column);
  }
  return choices;
}

function noField(field: string, column: string): string {
  const turned = isField(column) ? ` Field first: did you mean ${column}=${field}?` : "";
  return `an event has no field "${field}". Its fields: ${FIELDS.join(", ")}.${turned}`;
}

export class ColumnMap {
  readonly #fieldsByColumn = new Map<string, FieldName[]>();
  readonly #choices: MapChoices;

  constructor(choices: MapChoices) {
    this.#choices = choices;
    for (const [field, column] of choices) {
      if (column === "") continue;
      const fields = this.#fieldsByColumn.get(column);
      if (fields === undefined) this.#fieldsByColumn.set(column, [field]);
      else fields.push(field);
    }
    for (const field of FIELDS)
      if (!choices.has(field) && !this.#fieldsByColumn.has(field))
        this.#fieldsByColumn.set(field, [field]);
  }

  /** The fields that a column fills; undefined where it goes to `data`. */
  fieldsOf(column: string): readonly FieldName[] | undefined {
    return this.#fieldsByColumn.get(column);
  }

  /** The column that fills a field; undefined where none was named. */
  columnOf(field: FieldName): string | undefined {
    const column = this.#choices.get(field);
    if (column !== undefined) return column === "" ? undefined : column;
    return this.#fieldsByColumn.get(field)?.[0] === field ? field : undefined;
  }

  /**
   * Throws `replay.unknown_column` where `--map` names a column that the file lacks, and
   * `replay.unmapped` where a field that every event needs has none.
   */
  check(columns: readonly string[]): void {
    const list = columns.map((column) => `"${column}"`).join(", ");
    for (const [field, column] of this.#choices) {
      if (column === "" || columns.includes(column)) continue;
      throw invalid(
        "replay.unknown_column",
        `--map ${field}=${column}: the file has no column "${column}". Its columns: ${list}`,
      );
    }
    const missing = REQUIRED.filter((field) => !columns.includes(this.columnOf(field) ?? ""));
    if (missing.length === 0) return;
    const remedy = missing.map((field) => `${field}=COLUMN`).join(",");
    throw invalid(
      "replay.unmapped",
      `no column is mapped to ${missing.join(", ")}: add --map ${remedy}. The file's columns: ${list}`,
    );
  }

  /** For people: what becomes of each column. */
  describe(columns: readonly string[]): string {
    const fields = columns.flatMap((column) =>
      (this.fieldsOf(column) ?? []).map((field) =>
        field === column ? field : `${field} from ${column}`,
      ),
    );
    const rest = columns.filter((column) => this.fieldsOf(column) === undefined);
    return `${fields.join(", ")}${rest.length > 0 ? `; data from ${rest.join(", ")}` : ""}`;
  }
}

function isField(name: string): name is FieldName {
  return Object.hasOwn(EventFields.shape, name);
}
