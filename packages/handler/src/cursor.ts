/**
 * Keyset cursors: where the next page begins, as an opaque text.
 *
 * It holds the sort key of the page's last row and a fingerprint of the query, so that a cursor used
 * with another query is refused instead of answering from the wrong place. It is not secret and not
 * signed: a forged one that fits the schema reads what its forger may read anyhow.
 */
import { hash } from "node:crypto";
import { invalid } from "@headrace/kernel";
import type { z } from "zod";

const VERSION = 1;
/** A key of a user id of 128 characters and two times stays below 1,000. */
const MAX_LENGTH = 2_048;

/** The query that a cursor belongs to: `limit` may change from page to page, nothing else. */
export type CursorQuery = ReadonlyMap<string, string>;

/** `key`: JSON values, integers within 2^53. `route` is its key, `GET /v1/reports/windows`. */
export function encodeCursor(route: string, query: CursorQuery, key: unknown): string {
  return Buffer.from(JSON.stringify([VERSION, fingerprint(route, query), key])).toString(
    "base64url",
  );
}

/** The key that `cursor` holds, as `schema` reads it; throws `cursor.invalid`. */
export function decodeCursor<Schema extends z.ZodType>(
  schema: Schema,
  cursor: string,
  route: string,
  query: CursorQuery,
): z.output<Schema> {
  const content = contentOf(cursor);
  if (!Array.isArray(content) || content.length !== 3 || content[0] !== VERSION) throw refused();
  if (content[1] !== fingerprint(route, query)) {
    throw refused("the cursor belongs to another query: repeat the query that gave it unchanged");
  }
  const parsed = schema.safeParse(content[2]);
  if (!parsed.success) throw refused();
  return parsed.data;
}

function contentOf(cursor: string): unknown {
  if (cursor.length > MAX_LENGTH) return undefined;
  const bytes = Buffer.from(cursor, "base64url");
  // Decoding skips what is no base64url; only what was given out encodes to itself again.
  if (bytes.toString("base64url") !== cursor) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

const refused = (message = "the cursor is none that was given out here") =>
  invalid("cursor.invalid", message, { faults: [{ path: "/cursor", message }] });

function fingerprint(route: string, query: CursorQuery): string {
  const given = [...query].filter(([name]) => name !== "cursor" && name !== "limit").sort();
  return hash("sha256", JSON.stringify([route, given]), "base64url").slice(0, 8);
}
