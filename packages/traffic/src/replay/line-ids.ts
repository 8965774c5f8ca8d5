/**
 * Ids for lines that bring none: the same file gives the same ids, so that replaying it again stores
 * nothing again. A file of other content, be it one line more, gives other ids throughout.
 *
 * UUIDs of version 8 (RFC 9562, 5.8): like those made from a record's position they begin with 48 bits
 * of milliseconds, here of the event's time, because ids in order keep an index's inserts on few
 * pages; 74 bits of a SHA-256 follow.
 */
import { hash } from "node:crypto";
import { uuidTime } from "../hex-word.ts";

/** `source` names the file (its content's hash) or the run, `place` what is unique in it. */
export function lineId(source: string, place: string | number, timeMillis: number): string {
  const digest = hash("sha256", `${source}:${place}`);
  const variant = VARIANTS[Number.parseInt(digest.charAt(3), 16) & 3];
  return (
    `${uuidTime(timeMillis)}-8${digest.slice(0, 3)}` +
    `-${variant}${digest.slice(4, 7)}-${digest.slice(7, 19)}`
  );
}

const VARIANTS = "89ab";
