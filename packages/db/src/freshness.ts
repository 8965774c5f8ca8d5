/** How far results lag behind what has been committed. */
import type { Sql } from "./sql.ts";

export interface Freshness {
  /** The database's clock, µs. */
  readonly atMicros: number;
  /** From the overall watermark to the database's clock; null while the watermark is not known. */
  readonly watermarkLagSeconds: number | null;
  /** The oldest transaction with a window state that waits to be folded; null where none waits. */
  readonly oldestOpenTx: number | null;
  /** Every transaction that begins from now on has at least this id. */
  readonly nextTx: number;
}

export async function readFreshness(sql: Sql): Promise<Freshness> {
  const { rows } = await sql.query<Row>(
    `select
       clock_timestamp() as now,
       extract(epoch from clock_timestamp() - watermark)::double precision as lag,
       (select min(tx) from open_windows) as oldest,
       current_epoch() * 17592186044416 + pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next
     from clock`,
  );
  const [row] = rows;
  return {
    atMicros: row?.now ?? 0,
    watermarkLagSeconds: row?.lag ?? null,
    oldestOpenTx: row?.oldest ?? null,
    nextTx: row?.next ?? 0,
  };
}

interface Row extends Record<string, unknown> {
  readonly now: number;
  readonly lag: number | null;
  readonly oldest: number | null;
  readonly next: number;
}

/** What is looked at every ten seconds is remembered for the last hour. */
const LOOKS = 360;

/**
 * Tells from look to look how long the oldest state has waited, at least: since the first look after
 * its transaction began. Rows hold no time of their commit. It knows only what this process saw.
 */
export class WaitingTime {
  readonly #looks: Freshness[] = [];

  /** Seconds; 0 where nothing waits. */
  after(look: Freshness): number {
    this.#looks.push(look);
    if (this.#looks.length > LOOKS) this.#looks.shift();
    const { oldestOpenTx, atMicros } = look;
    if (oldestOpenTx === null) return 0;
    const first = this.#looks.find(({ nextTx }) => nextTx > oldestOpenTx) ?? look;
    return Math.max(0, atMicros - first.atMicros) / 1_000_000;
  }
}
