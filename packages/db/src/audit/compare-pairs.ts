/** Runs a comparison: how many rows there were, and the first of those that differ. */
import type { Sql } from "../sql.ts";
import type { Audited, Difference } from "./difference.ts";

interface Row extends Record<string, unknown> {
  rows: number;
  key: string | null;
  expected: unknown;
  actual: unknown;
}

/** `text` goes behind `with` and ends with a table `pair` (key, expected, actual), null where there is no row. */
export async function comparePairs(
  moment: Sql,
  what: string,
  text: string,
  values: readonly unknown[],
  limit: number,
): Promise<Audited> {
  const { rows } = await moment.query<Row>(
    `with ${text}
     select total.rows, wrong.*
     from (select count(*) as rows from pair) as total
     left join (
       select key, expected, actual
       from pair
       where expected is distinct from actual
       order by key
       limit $${values.length + 1}
     ) as wrong on true`,
    [...values, Number.isFinite(limit) ? limit : null],
  );
  const differences = rows.flatMap(({ key, expected, actual }): Difference[] =>
    key === null ? [] : [{ what, key, expected, actual }],
  );
  return { what, rows: rows[0]?.rows ?? 0, differences };
}
