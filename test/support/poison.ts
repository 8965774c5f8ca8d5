/** Records that can be read and that PostgreSQL refuses whenever they are stored: a trigger raises. */
import type { Pool } from "@headrace/db";

/** The user of every such event. */
export const POISON = "poison";

export interface PoisonOptions {
  /** Where the trigger stands, and what it refuses there. */
  readonly table?: "stream_events" | "stream_progress" | "open_windows" | "event_types";
  readonly on?: "insert" | "update";
  readonly when?: string;
  /** Does more than raise an error, which names the data. */
  readonly body?: string;
  /** Only at the end of the transaction. */
  readonly deferred?: boolean;
}

/**
 * Takes the place of one that was planted before. Refuses at the end of a statement: a COPY that may
 * fail at any row would do so sooner or later by chance.
 */
export async function plantPoison(owner: Pool, options: PoisonOptions = {}): Promise<void> {
  const {
    table = "stream_events",
    on = "insert",
    when = `new.user_id = '${POISON}'`,
    body = "raise exception 'refused: %', new",
    deferred = false,
  } = options;
  await removePoison(owner);
  const trigger = deferred ? "constraint trigger" : "trigger";
  const end = deferred ? "deferrable initially deferred" : "";
  await owner.query(
    `create function refuse_poison() returns trigger
       language plpgsql
       security definer
     as $$
     begin
       ${body};
       return new;
     end
     $$;
     create ${trigger} refuse_poison after ${on} on ${table} ${end}
       for each row
       when (${when})
       execute function refuse_poison()`,
  );
}

/** What was refused is stored from now on. */
export async function removePoison(owner: Pool): Promise<void> {
  await owner.query("drop function if exists refuse_poison() cascade");
}
