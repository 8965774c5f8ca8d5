/**
 * Ids for lines that bring none: the same file gives the same ids, so that replaying it again stores
 * nothing again. A file of other content, be it one line more, gives other ids throughout.
 *
 * UUIDs of version 8 (RFC 9562, 5.8): like those made from a record's position they begin with 48 bits
 * of milliseconds, here of the event's time, because ids in order keep an index's inserts on few
 * pages; 74 bits of a SHA-256 follow.
 */
import { hash } from "node:crypto";

/** `source` names the file (its content's hash) or the run, `place` what is unique in it. */
export function lineId(source: string, place: string | number, timeMillis: number): string {
  const digest = hash("sha256", `${source}:${place}`);
  const time = (((timeMillis % SPAN) + SPAN) % SPAN).toString(16).padStart(12, "0");
  const variant = VARIANTS[Number.parseInt(digest.charAt(3), 16) & 3];
  return (
    `${time.slice(0, 8)}-${time.slice(8)}-8${digest.slice(0, 3)}` +
    `-${variant}${digest.slice(4, 7)}-${digest.slice(7, 19)}`
  );
}

/** Times before 1970 have no bits of their own; they need no order either. */
const SPAN = 2 ** 48;
const VARIANTS = "89ab";
