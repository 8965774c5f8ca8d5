/** The hours of a range, as far as raw events reach back. */
import type { AuditRange } from "../audit/difference.ts";
import type { Pool } from "../sql.ts";
import { rawFromOf } from "./raw-from.ts";

const HOUR = 3_600_000_000;

/** In order, while raw events move on. */
export async function* hoursFrom(pool: Pool, range: AuditRange): AsyncGenerator<AuditRange> {
  for (let fromMicros = range.fromMicros; fromMicros < range.toMicros; fromMicros += HOUR) {
    if (fromMicros >= (await rawFromOf(pool))) yield { fromMicros, toMicros: fromMicros + HOUR };
  }
}
