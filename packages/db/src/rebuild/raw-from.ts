/** Where raw events begin: nothing older can be made again. */
import type { Sql } from "../sql.ts";

/** `clock.raw_from` in µs, -Infinity where all are kept. */
export async function rawFromOf(sql: Sql): Promise<number> {
  const { rows } = await sql.query<{ raw_from: number }>("select raw_from from clock");
  return rows[0]?.raw_from ?? Number.NEGATIVE_INFINITY;
}
