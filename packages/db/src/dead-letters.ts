/**
 * Table `dead_letters`: records that can never be read, or that were given up, kept with the reason
 * and their bytes.
 */
import type { Refusal } from "@headrace/events";
import { instantText, type Sql } from "./sql.ts";

export interface NewDeadLetter {
  /** Made from the record's first position and its bytes: the same record again is the same row. */
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly recordMicros: number;
  readonly refusal: Refusal;
  readonly key: Buffer | null;
  readonly bytes: Buffer | null;
}

/** Stores what is not stored yet and returns the ids of those. */
export async function recordDeadLetters(
  sql: Sql,
  letters: readonly NewDeadLetter[],
): Promise<Set<string>> {
  if (letters.length === 0) return new Set();
  const sorted = letters.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const { rows } = await sql.query<{ dead_letter_id: string }>(
    `insert into dead_letters
       (dead_letter_id, topic, partition, record_offset, record_time, code, path, message, key, bytes)
     select *
     from unnest(
       $1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::timestamptz[],
       $6::text[], $7::text[], $8::text[], $9::bytea[], $10::bytea[]
     )
     on conflict do nothing
     returning dead_letter_id`,
    [
      sorted.map((letter) => letter.id),
      sorted.map((letter) => letter.topic),
      sorted.map((letter) => letter.partition),
      sorted.map((letter) => letter.offset),
      sorted.map((letter) => instantText(letter.recordMicros)),
      sorted.map((letter) => letter.refusal.code),
      sorted.map((letter) => letter.refusal.path),
      sorted.map((letter) => letter.refusal.message),
      sorted.map((letter) => letter.key),
      sorted.map((letter) => letter.bytes),
    ],
  );
  return new Set(rows.map((row) => row.dead_letter_id));
}

/** The code of a record that could be read and still failed whenever it was tried, at last alone. */
export const GAVE_UP = "batch.gave_up";

/** Where a letter's record stood. */
export interface LetterPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** By id, those of the letters whose record was given up. */
export async function findGivenUp(
  sql: Sql,
  ids: readonly string[],
): Promise<Map<string, LetterPlace>> {
  if (ids.length === 0) return new Map();
  const { rows } = await sql.query<LetterPlace & { id: string }>(
    `select dead_letter_id as id, topic, partition, record_offset as offset
     from dead_letters
     where dead_letter_id = any ($1::uuid[])
       and code = $2`,
    [ids, GAVE_UP],
  );
  return new Map(rows.map(({ id, ...place }) => [id, place]));
}
