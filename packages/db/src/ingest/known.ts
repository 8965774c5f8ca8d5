/**
 * What an ingesting process knows to exist: partitions by week and event types with windows of
 * their own. Only things that stay once they are there, so a stale copy is incomplete, never wrong;
 * what is missing is made in short transactions of its own before the batch's.
 */
import type { Pool } from "../sql.ts";
import { OTHER_TYPE } from "./fold.ts";
import { mondayOf, weekOfMonday } from "./weeks.ts";

/** Beyond as many types, further ones are counted under `other`. */
const MAX_TYPES = 1000;

export class Known {
  readonly weeks = new Set<number>();
  readonly #types = new Set<string>();

  hasType(eventType: string): boolean {
    return this.#types.has(eventType) || this.#types.size >= MAX_TYPES || eventType === OTHER_TYPE;
  }

  /** The type under which windows count an event. */
  windowType(eventType: string): string {
    return this.#types.has(eventType) ? eventType : OTHER_TYPE;
  }

  async make(pool: Pool, weeks: Iterable<number>, types: Iterable<string>): Promise<void> {
    const missingWeeks = [...weeks].filter((week) => !this.weeks.has(week)).sort((a, b) => a - b);
    if (missingWeeks.length > 0) {
      await pool.query("select ensure_event_partitions($1::date[])", [missingWeeks.map(mondayOf)]);
      for (const week of missingWeeks) this.weeks.add(week);
    }
    const missingTypes = [...types].filter((type) => !this.hasType(type));
    if (missingTypes.length > 0) {
      await pool.query("select register_event_types($1::text[])", [missingTypes]);
      await this.#loadTypes(pool);
    }
  }

  async load(pool: Pool): Promise<void> {
    const { rows } = await pool.query<{ name: string }>(
      `select relname as name
       from pg_inherits
       join pg_class on pg_class.oid = inhrelid
       where inhparent = 'stream_events'::regclass`,
    );
    this.weeks.clear();
    for (const { name } of rows) this.weeks.add(weekOfMonday(name.slice("stream_events_".length)));
    await this.#loadTypes(pool);
  }

  async #loadTypes(pool: Pool): Promise<void> {
    const { rows } = await pool.query<{ event_type: string }>("select event_type from event_types");
    for (const { event_type } of rows) this.#types.add(event_type);
  }
}

const knownByPool = new WeakMap<Pool, Known>();

/** What is known of the pool's database, loaded at first use. */
export async function knownOf(pool: Pool): Promise<Known> {
  const kept = knownByPool.get(pool);
  if (kept !== undefined) return kept;
  const known = new Known();
  await known.load(pool);
  knownByPool.set(pool, known);
  return known;
}

/** After a partition turned out to be gone. */
export function forgetKnown(pool: Pool): void {
  knownByPool.delete(pool);
}
