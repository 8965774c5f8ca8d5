/**
 * GET /v1/dead-letters: records that could not be read, the newest first, each with the reason and
 * the beginning of what it held.
 */
import { instantText, type Sql } from "@headrace/db";
import * as z from "zod";
import { Count, InstantText, instantOf, instantOrNull } from "./answer.ts";

/** Bytes shown as text where they are UTF-8, else in base64. */
export const Preview = z.strictObject({
  text: z.string(),
  encoding: z.enum(["utf8", "base64"]),
  /** Of all bytes, also those that are not shown. */
  size_bytes: Count,
  truncated: z.boolean(),
});
export type Preview = z.output<typeof Preview>;

export const DeadLetterAnswer = z.strictObject({
  id: z.uuid(),
  topic: z.string(),
  partition: Count,
  offset: Count,
  /** The record's Kafka timestamp. */
  record_time: InstantText,
  code: z.string(),
  /** JSON pointer to the fault; empty for the record as a whole. */
  path: z.string(),
  message: z.string(),
  key: Preview.nullable(),
  /** null for a tombstone and once the bytes have expired. */
  value: Preview.nullable(),
  created_at: InstantText,
  replayed_at: InstantText.nullable(),
});
export type DeadLetterAnswer = z.output<typeof DeadLetterAnswer>;

/** Where a page ends: when its last letter was set aside, in µs, and its id. */
export interface DeadLetterPlace {
  readonly createdMicros: number;
  readonly id: string;
}

export interface DeadLettersQuery {
  readonly code: string | null;
  readonly topic: string | null;
  /** Letters set aside in [from, to), µs. */
  readonly fromMicros: number;
  readonly toMicros: number;
  /** Only letters behind this place, that is, older ones. */
  readonly after: DeadLetterPlace | undefined;
  readonly limit: number;
}

export interface DeadLettersPage {
  readonly deadLetters: DeadLetterAnswer[];
  /** Undefined where nothing follows. */
  readonly last: DeadLetterPlace | undefined;
}

/** A page of 200 letters stays under a function's 6 MB even where JSON escapes every byte. */
const MAX_VALUE_BYTES = 4096;
const MAX_KEY_BYTES = 256;

interface Row extends Record<string, unknown> {
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  readonly record_offset: number;
  readonly record_time: number;
  readonly code: string;
  readonly path: string;
  readonly message: string;
  readonly key_start: Buffer | null;
  readonly key_bytes: number | null;
  readonly value_start: Buffer | null;
  readonly value_bytes: number | null;
  readonly created_at: number;
  readonly replayed_at: number | null;
}

export async function readDeadLetters(sql: Sql, query: DeadLettersQuery): Promise<DeadLettersPage> {
  const { code, topic, fromMicros, toMicros, after, limit } = query;
  const { rows } = await sql.query<Row>(
    `select
       dead_letter_id as id,
       topic,
       partition,
       record_offset,
       record_time,
       code,
       path,
       message,
       substring(key for $7) as key_start,
       octet_length(key) as key_bytes,
       substring(bytes for $8) as value_start,
       octet_length(bytes) as value_bytes,
       created_at,
       replayed_at
     from dead_letters
     where created_at >= $1
       and created_at < $2
       and (created_at, dead_letter_id) < ($3::timestamptz, $4::uuid)
       and ($5::text is null or code = $5)
       and ($6::text is null or topic = $6)
     order by created_at desc, dead_letter_id desc
     limit $9`,
    [
      instantText(fromMicros),
      instantText(toMicros),
      instantText(after?.createdMicros ?? toMicros),
      after?.id ?? "00000000-0000-0000-0000-000000000000",
      code,
      topic,
      MAX_KEY_BYTES,
      MAX_VALUE_BYTES,
      limit + 1,
    ],
  );
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return {
    deadLetters: shown.map(answerOf),
    last: last && { createdMicros: last.created_at, id: last.id },
  };
}

function answerOf(row: Row): DeadLetterAnswer {
  return {
    id: row.id,
    topic: row.topic,
    partition: row.partition,
    offset: row.record_offset,
    record_time: instantOf(row.record_time),
    code: row.code,
    path: row.path,
    message: row.message,
    key: previewOf(row.key_start, row.key_bytes),
    value: previewOf(row.value_start, row.value_bytes),
    created_at: instantOf(row.created_at),
    replayed_at: instantOrNull(row.replayed_at),
  };
}

function previewOf(start: Buffer | null, sizeBytes: number | null): Preview | null {
  if (start === null || sizeBytes === null) return null;
  const truncated = sizeBytes > start.length;
  const text = utf8Of(start, truncated);
  return {
    text: text ?? start.toString("base64"),
    encoding: text === undefined ? "base64" : "utf8",
    size_bytes: sizeBytes,
    truncated,
  };
}

/** Undefined for bytes that are not UTF-8; a character that the cut went through is left out. */
function utf8Of(bytes: Buffer, truncated: boolean): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, {
      stream: truncated,
    });
  } catch {
    return undefined;
  }
}
