/**
 * JSON whose numbers keep their digits: those that a double would round come back as `JSON.rawJSON`
 * objects, which `JSON.stringify` writes as they were read.
 */
interface SourceTextAccess {
  rawJSON(text: string): object;
  isRawJSON(value: unknown): boolean;
  parse(text: string, reviver: Reviver): unknown;
}
type Reviver = (name: string, value: unknown, context: { readonly source?: string }) => unknown;

// Stage 4 of ECMA-262 and in Node.js 24, but not yet in TypeScript's library.
const exactJson = JSON as unknown as SourceTextAccess;

/** Throws `SyntaxError` as `JSON.parse` does. */
export function parseExactJson(text: string): unknown {
  // Asking for the source makes reading five times slower, and few lines need it.
  return MAY_LOSE_DIGITS.test(text) ? exactJson.parse(text, keepDigits) : JSON.parse(text);
}

export function isJsonObject(value: unknown): value is Record<string, unknown> {
  const isPlain = typeof value === "object" && value !== null && !Array.isArray(value);
  return isPlain && !exactJson.isRawJSON(value);
}

/** A number of more than 15 digits or with an exponent; also some texts that look like one. */
const MAY_LOSE_DIGITS = /[:,[\s]-?(?:[\d.]{16}|[\d.]+[eE])/;

function keepDigits(_name: string, value: unknown, { source }: { readonly source?: string }) {
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  return exactJson.rawJSON(source);
}
