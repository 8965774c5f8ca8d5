/**
 * The events of a funnel's steps, user by user.
 *
 * PostgreSQL reads them in the order in which they lie and packs each into 16 bytes, which is several
 * times faster than having it sort a million rows by user; they are put together here. Users are told
 * apart by a hash of 64 bits: the odds that two of a million users are taken for one are 1 in 10^7.
 */
import { instantText, type Sql } from "@headrace/db";

export interface FunnelEventsQuery {
  /** Each once, the first step's at the front: an event of it in [from, to) may begin an attempt. */
  readonly types: readonly string[];
  readonly fromMicros: number;
  readonly toMicros: number;
  readonly withinMicros: number;
  readonly by: FunnelField | undefined;
}

/** A column of the event, or where in its `data` to look. */
export type FunnelField = { readonly column: FunnelColumn } | { readonly path: readonly string[] };

export const FUNNEL_COLUMNS = ["category", "product_id", "region", "session_id"] as const;
export type FunnelColumn = (typeof FUNNEL_COLUMNS)[number];

/** One user's events; valid until the next user's are read. */
export interface UserEvents {
  /** Of each type, ascending, in µs. */
  readonly times: readonly (readonly number[])[];
  /** The hash of what `by` says of the first step's event at `micros`. */
  groupAt(micros: number): bigint;
}

/** What events without a value are grouped under. */
const NO_VALUE = 0n;

/** Calls `onUser` once for each user who has any of the events. */
export async function readFunnelEvents(
  moment: Sql,
  query: FunnelEventsQuery,
  onUser: (user: UserEvents) => void,
): Promise<void> {
  // The planner takes the 64 groups for as many as there are users, and may then sort all events.
  await moment.query("set local enable_sort = off");
  const { rows } = await moment.query<{ packed: Buffer }>(...packedEvents(query));
  const stride = query.by === undefined ? PLAIN_BYTES : GROUPED_BYTES;
  for (const { packed } of rows) unpackUsers(packed, stride, query, onUser);
}

/** Hash of the user, type and time. */
const PLAIN_BYTES = 16;
/** And the hash of the group. */
const GROUPED_BYTES = 24;

/** The SQL of what `by` says of an event, null where it says nothing; its value is added to `values`. */
export function fieldText(by: FunnelField, values: unknown[]): string {
  if ("column" in by) return by.column;
  values.push(by.path);
  return `data #>> $${values.length}::text[]`;
}

/** Of the field's text; `field` is made of constants of ours. */
export const groupHash = (field: string): string =>
  `coalesce(hashtextextended(${field}, 0), ${NO_VALUE})`;

// The 64 groups keep each packed value small beside what PostgreSQL and the driver allow. A time takes
// 7 bytes for 1,141 years on either side of 2000; the eighth, at its front, tells the type.
function packedEvents(query: FunnelEventsQuery): [string, unknown[]] {
  const { types, fromMicros, toMicros, withinMicros, by } = query;
  const values: unknown[] = [types, instantText(fromMicros), instantText(toMicros + withinMicros)];
  const places = types.map((type, place) => {
    values.push(type);
    return `when $${values.length}::text then ${place}`;
  });
  const group =
    by === undefined
      ? ""
      : `|| int8send(case when event_type = $4 then ${groupHash(fieldText(by, values))} else 0 end)`;
  return [
    `select string_agg(
       int8send(hashtextextended(user_id, 0))
         || set_byte(timestamptz_send(event_time), 0, case event_type ${places.join(" ")} end)
         ${group},
       ''::bytea
     ) as packed
     from stream_events
     where event_type = any ($1)
       and event_time >= $2
       and event_time < $3
     group by hashtext(user_id) & 63`,
    values,
  ];
}

/** Where PostgreSQL's clock begins: 2000-01-01, in µs since 1970. */
const EPOCH_MICROS = 946_684_800_000_000;
/** More than there are types. A time from `from` on, times this, plus the type, fits 53 bits. */
const TYPES = 32;

function unpackUsers(
  packed: Buffer,
  stride: number,
  { types, fromMicros }: FunnelEventsQuery,
  onUser: (user: UserEvents) => void,
): void {
  const users = groupByUser(packed, stride);
  const keys = new Float64Array(packed.length / stride);
  for (let place = 0; place < keys.length; place += 1) {
    const at = (users.events[place] as number) * stride + 8;
    keys[place] = (microsAt(packed, at) - fromMicros) * TYPES + (packed[at] as number);
  }
  const times: number[][] = types.map(() => []);
  for (let user = 0; user + 1 < users.begins.length; user += 1) {
    const [begin, end] = [users.begins[user] as number, users.begins[user + 1] as number];
    for (const list of times) list.length = 0;
    for (const key of inOrder(keys.subarray(begin, end))) {
      const type = key % TYPES;
      times[type]?.push((key - type) / TYPES + fromMicros);
    }
    onUser({
      times,
      groupAt(micros) {
        let least: bigint | undefined;
        for (const event of users.events.subarray(begin, end)) {
          const at = event * stride;
          if (packed[at + 8] !== 0 || microsAt(packed, at + 8) !== micros) continue;
          const group = packed.readBigInt64BE(at + PLAIN_BYTES);
          if (least === undefined || group < least) least = group;
        }
        return least ?? NO_VALUE;
      },
    });
  }
}

const microsAt = (packed: Buffer, at: number): number =>
  packed.readIntBE(at + 1, 3) * 2 ** 32 + packed.readUInt32BE(at + 4) + EPOCH_MICROS;

function inOrder(keys: Float64Array): Float64Array {
  for (let i = 1; i < keys.length; i += 1) {
    if ((keys[i] as number) < (keys[i - 1] as number)) return keys.sort();
  }
  return keys;
}

interface ByUser {
  /** Numbers of the packed events, those of one user beside each other. */
  readonly events: Int32Array;
  /** Where each user's begin in `events`, and behind them its length. */
  readonly begins: Int32Array;
}

/** A hash table of numbers alone: a Map with a text for each event takes ten times as long. */
function groupByUser(packed: Buffer, stride: number): ByUser {
  const count = packed.length / stride;
  const size = 2 ** Math.ceil(Math.log2(2 * count + 1));
  const slots = new Int32Array(size).fill(-1);
  const firsts = new Int32Array(count);
  const users = new Int32Array(count);
  const begins = new Int32Array(count + 1);
  let known = 0;
  for (let event = 0; event < count; event += 1) {
    const high = packed.readInt32BE(event * stride);
    const low = packed.readInt32BE(event * stride + 4);
    let slot = low & (size - 1);
    for (; ; slot = (slot + 1) & (size - 1)) {
      const user = slots[slot] as number;
      if (user < 0) {
        slots[slot] = known;
        firsts[known] = event * stride;
        known += 1;
        break;
      }
      const first = firsts[user] as number;
      if (packed.readInt32BE(first + 4) === low && packed.readInt32BE(first) === high) break;
    }
    const user = slots[slot] as number;
    users[event] = user;
    begins[user + 1] = (begins[user + 1] as number) + 1;
  }
  return placed(users, begins.subarray(0, known + 1));
}

/** Counting sort; `counts`: of each user's events, behind a 0. */
function placed(users: Int32Array, counts: Int32Array): ByUser {
  for (let user = 1; user < counts.length; user += 1) {
    counts[user] = (counts[user] as number) + (counts[user - 1] as number);
  }
  const next = counts.slice();
  const events = new Int32Array(users.length);
  for (const [event, user] of users.entries()) {
    const place = next[user] as number;
    events[place] = event;
    next[user] = place + 1;
  }
  return { events, begins: counts };
}
