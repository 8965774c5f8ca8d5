/** The two kinds of files that are loaded: which columns make an item, and where it is sent. */

import { instantText, readInstant } from "../replay/instant-text.ts";
import type { Row } from "../replay/rows.ts";

export const DIMENSIONS = {
  users: {
    path: "v1/users",
    required: ["user_id", "name"],
    optional: ["segment", "region", "registered_at"],
  },
  products: {
    path: "v1/products",
    required: ["product_id", "name", "category", "price"],
    optional: ["stock", "reorder_point"],
  },
} as const;
export type DimensionName = keyof typeof DIMENSIONS;

export type DimensionItem = Readonly<Record<string, unknown>>;

/** Columns that every file of this kind has. */
export function missingColumns(name: DimensionName, columns: readonly string[]): readonly string[] {
  return DIMENSIONS[name].required.filter((column) => !columns.includes(column));
}

/** Columns that are left out. */
export function ignoredColumns(name: DimensionName, columns: readonly string[]): readonly string[] {
  const { required, optional } = DIMENSIONS[name];
  const known: readonly string[] = [...required, ...optional];
  return columns.filter((column) => !known.includes(column));
}

/** What is sent for a row, which the system checks; an empty cell is absent. */
export function itemOf(name: DimensionName, { names, values }: Row): DimensionItem {
  const { required, optional } = DIMENSIONS[name];
  const item: Record<string, unknown> = {};
  for (const column of [...required, ...optional]) {
    const value = values[names.indexOf(column)];
    if (value !== undefined && value !== null) item[column] = asSent(column, value);
  }
  return item;
}

/** Cells of CSV are texts; what is no number or time is left for the system to refuse. */
function asSent(column: string, value: unknown): unknown {
  if (typeof value !== "string") return column.endsWith("_id") ? idOf(value) : value;
  if (column === "stock" || column === "reorder_point") {
    return /^\d{1,15}$/.test(value) ? Number(value) : value;
  }
  if (column !== "registered_at") return value;
  const instant = readInstant(value);
  return instant === undefined ? value : instantText(instant.micros);
}

/** Ids are texts, also where a file has them as whole numbers; so are those of events. */
const idOf = (value: unknown): unknown => (Number.isSafeInteger(value) ? String(value) : value);
