/**
 * GET /v1/users/{id}/events: one user's raw events, the newest first by time and id, as they are
 * stored. Each page is a moment of its own: an event that arrives between two of them, and lies
 * where the first one was, is not seen.
 */
import { instantText, type Sql } from "@headrace/db";
import { formatCents } from "@headrace/kernel";
import * as z from "zod";
import { Figure, InstantText, instantOf, Money } from "./answer.ts";

export const UserEventAnswer = z.strictObject({
  event_id: z.guid(),
  event_time: InstantText,
  event_type: z.string(),
  user_id: z.string(),
  session_id: z.string().nullable(),
  value: Figure,
  amount: Money.nullable(),
  duration: Figure,
  category: z.string().nullable(),
  product_id: z.string().nullable(),
  region: z.string().nullable(),
  /** Its numbers keep every digit. */
  data: z.looseObject({}).nullable(),
  /** The Kafka timestamp of the record that brought it. */
  received_at: InstantText,
});
export type UserEventAnswer = z.output<typeof UserEventAnswer>;

/** Where a page ends: time in µs and id of its last event. */
export interface UserEventPlace {
  readonly timeMicros: number;
  readonly id: string;
}

export interface UserEventsQuery {
  readonly userId: string;
  /** Events in [from, to), µs. */
  readonly fromMicros: number;
  readonly toMicros: number;
  /** Only events behind, that is older than, this place. */
  readonly after: UserEventPlace | undefined;
  readonly limit: number;
}

export interface UserEventsPage {
  readonly events: UserEventAnswer[];
  /** Undefined where nothing follows. */
  readonly last: UserEventPlace | undefined;
}

interface Row extends Record<string, unknown> {
  readonly event_id: string;
  readonly event_time: number;
  readonly event_type: string;
  readonly user_id: string;
  readonly session_id: string | null;
  readonly value: number | null;
  readonly amount_cents: number | null;
  readonly duration: number | null;
  readonly category: string | null;
  readonly product_id: string | null;
  readonly region: string | null;
  readonly data: string | null;
  readonly record_time: number;
}

/** Before (to, this) lie all events before `to`. */
const LEAST_ID = "00000000-0000-0000-0000-000000000000";

export async function readUserEvents(sql: Sql, query: UserEventsQuery): Promise<UserEventsPage> {
  const { userId, fromMicros, toMicros, limit } = query;
  const after = query.after ?? { timeMicros: toMicros, id: LEAST_ID };
  // One more row than the limit tells whether another page follows.
  const { rows } = await sql.query<Row>(
    `select
       event_id, event_time, event_type, user_id, session_id, value, amount_cents, duration,
       category, product_id, region, data::text as data, record_time
     from stream_events
     where user_id = $1
       and event_time between $2 and $3
       and (event_time, event_id) < ($3::timestamptz, $4::uuid)
     order by event_time desc, event_id desc
     limit $5`,
    [userId, instantText(fromMicros), instantText(after.timeMicros), after.id, limit + 1],
  );
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return {
    events: shown.map(userEvent),
    last: last && { timeMicros: last.event_time, id: last.event_id },
  };
}

const userEvent = (row: Row): UserEventAnswer => ({
  event_id: row.event_id,
  event_time: instantOf(row.event_time),
  event_type: row.event_type,
  user_id: row.user_id,
  session_id: row.session_id,
  value: row.value,
  amount: row.amount_cents === null ? null : formatCents(row.amount_cents),
  duration: row.duration,
  category: row.category,
  product_id: row.product_id,
  region: row.region,
  data: row.data === null ? null : withEveryDigit(row.data),
  received_at: instantOf(row.record_time),
});

/** The compiler does not know it yet. */
interface RawJson {
  rawJSON(text: string): object;
}

/** A number that a double does not hold is written as it is stored. */
function withEveryDigit(text: string): Record<string, unknown> {
  return JSON.parse(text, (_name, value: unknown, { source = "" } = {}) =>
    typeof value === "number" && String(value) !== source
      ? (JSON as unknown as RawJson).rawJSON(source)
      : value,
  );
}
