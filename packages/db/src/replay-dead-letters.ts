/**
 * Table `dead_letters`, sending again: which letters can be, and the mark of those that were.
 *
 * The mark is set after Kafka has taken the bytes. A crash in between sends them again, which changes
 * nothing: a letter is sent with its first position, from which the same ids are made.
 */
import { deadLetterId, type Position } from "@headrace/events";
import { instantText, type Sql } from "./sql.ts";

/** A letter that still has its bytes. */
export interface ReplayableLetter {
  readonly id: string;
  /** Where the record stood at first; it is sent to the same topic. */
  readonly position: Position;
  readonly key: Buffer | null;
  readonly bytes: Buffer;
}

export interface UnreplayableLetter {
  readonly id: string;
  /** The record had no value; its bytes are past their retention; there is no such letter. */
  readonly reason: "tombstone" | "expired" | "unknown";
}

/** Letters by id, or those of a code that have not been sent again yet. */
export type LetterSelection =
  | { readonly ids: readonly string[] }
  | {
      readonly code: string;
      /** Set aside in [from, to), µs; null: no bound. */
      readonly fromMicros: number | null;
      readonly toMicros: number | null;
      /** Whether letters that were sent again before are meant too. */
      readonly again: boolean;
    };

export interface SelectedLetters {
  /** The oldest first. */
  readonly letters: readonly ReplayableLetter[];
  /** Letters with bytes that are selected too, but not among `letters`; counted up to 10,000. */
  readonly remaining: number;
  /** At most as many as letters; ids that are unknown, all of them. */
  readonly unreplayable: UnreplayableLetter[];
}

export interface LetterLimits {
  readonly letters: number;
  /** The first letter is taken whatever its size. */
  readonly bytes: number;
}

const MAX_COUNTED = 10_000;

// $1 ids, $2 code, $3 and $4 bounds of created_at, $5 whether letters sent before are meant too.
const SELECTED = `
  from dead_letters
  where ($1::uuid[] is null or dead_letter_id = any ($1))
    and ($2::text is null or code = $2)
    and ($3::timestamptz is null or created_at >= $3)
    and ($4::timestamptz is null or created_at < $4)
    and ($5 or replayed_at is null)`;

/** A statement for each part: letters set aside meanwhile may be in one and not in another. */
export async function selectLettersToReplay(
  sql: Sql,
  selection: LetterSelection,
  limits: LetterLimits,
): Promise<SelectedLetters> {
  const values = valuesOf(selection);
  const letters = await oldestLetters(sql, values, limits);
  const matching = await countLetters(sql, values, MAX_COUNTED + letters.length);
  const unreplayable = [
    ...(await lettersWithoutBytes(sql, values, limits.letters)),
    ...("ids" in selection ? await unknownIds(sql, selection.ids) : []),
  ];
  return { letters, remaining: Math.max(0, matching - letters.length), unreplayable };
}

async function oldestLetters(
  sql: Sql,
  values: readonly unknown[],
  limits: LetterLimits,
): Promise<ReplayableLetter[]> {
  const { rows } = await sql.query<LetterRow>(
    `select id, topic, partition, record_offset, record_time, key, bytes
     from (
       select
         *,
         row_number() over oldest_first as number,
         sum(octet_length(bytes)) over oldest_first as bytes_so_far
       from (
         select *, dead_letter_id as id
         ${SELECTED}
           and bytes is not null
         order by created_at, dead_letter_id
         limit $6
       ) as oldest
       window oldest_first as (order by created_at, id)
     ) as counted
     where bytes_so_far <= $7
       or number = 1
     order by number`,
    [...values, limits.letters, limits.bytes],
  );
  return rows.map(letterOf);
}

async function countLetters(sql: Sql, values: readonly unknown[], most: number): Promise<number> {
  const { rows } = await sql.query<{ matching: number }>(
    `select count(*) as matching
     from (
       select
       ${SELECTED}
         and bytes is not null
       limit $6
     ) as selected`,
    [...values, most],
  );
  return rows[0]?.matching ?? 0;
}

async function lettersWithoutBytes(
  sql: Sql,
  values: readonly unknown[],
  limit: number,
): Promise<UnreplayableLetter[]> {
  const { rows } = await sql.query<UnreplayableLetter & Record<string, unknown>>(
    `select
       dead_letter_id as id,
       case code when 'event.tombstone' then 'tombstone' else 'expired' end as reason
     ${SELECTED}
       and bytes is null
     order by created_at, dead_letter_id
     limit $6`,
    [...values, limit],
  );
  return rows;
}

async function unknownIds(sql: Sql, ids: readonly string[]): Promise<UnreplayableLetter[]> {
  const { rows } = await sql.query<UnreplayableLetter & Record<string, unknown>>(
    `select distinct id, 'unknown' as reason
     from unnest($1::uuid[]) as given (id)
     where not exists (select from dead_letters where dead_letter_id = id)`,
    [ids],
  );
  return rows;
}

/** Notes that the letters were sent again just now. */
export async function markReplayed(sql: Sql, ids: readonly string[]): Promise<void> {
  await sql.query(
    `update dead_letters
     set replayed_at = clock_timestamp()
     where dead_letter_id in (
       select dead_letter_id
       from dead_letters
       where dead_letter_id = any ($1)
       order by dead_letter_id
       for update
     )`,
    [ids],
  );
}

function valuesOf(selection: LetterSelection): unknown[] {
  if ("ids" in selection) return [selection.ids, null, null, null, true];
  const { code, fromMicros, toMicros, again } = selection;
  const text = (micros: number | null) => (micros === null ? null : instantText(micros));
  return [null, code, text(fromMicros), text(toMicros), again];
}

interface LetterRow extends Record<string, unknown> {
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  readonly record_offset: number;
  readonly record_time: number;
  readonly key: Buffer | null;
  readonly bytes: Buffer;
}

function letterOf(row: LetterRow): ReplayableLetter {
  const position = {
    topic: row.topic,
    partition: row.partition,
    offset: row.record_offset,
    timestampMillis: Math.floor(row.record_time / 1000),
  };
  const { id, key, bytes } = row;
  return { id, position: sameLetter(position, row), key, bytes };
}

/**
 * The position whose id the letter has. `record_time` is the database's clock where a producer's
 * clock was far ahead; the id begins with the milliseconds that the producer gave.
 */
function sameLetter(position: Position, { id, bytes }: LetterRow): Position {
  if (deadLetterId(position, bytes) === id) return position;
  const timestampMillis = Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
  const given = { ...position, timestampMillis };
  return deadLetterId(given, bytes) === id ? given : position;
}
