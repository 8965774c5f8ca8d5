/** Hexadecimal digits from a table: ids are made by the hundred thousand a second. */
const WORDS = Array.from({ length: 65_536 }, (_, n) => n.toString(16).padStart(4, "0"));

/** The lowest 16 bits as four digits. */
export function hexWord(value: number): string {
  return WORDS[value & 0xffff] as string;
}

/** The lowest 48 bits of milliseconds as a UUID of version 7 or 8 begins: `xxxxxxxx-xxxx`. */
export function uuidTime(millis: number): string {
  const high = Math.floor(millis / 65_536);
  return `${hexWord(high >>> 16)}${hexWord(high)}-${hexWord(millis)}`;
}
