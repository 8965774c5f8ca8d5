/**
 * Reads JSON as text, where parsing it would lose what was sent: numbers keep every digit, and what an
 * event carries beyond its own fields is stored as it came. Every function here expects text that
 * `JSON.parse` has accepted, and none recurses, so nesting of any depth is read in one pass.
 */
import { fitsPostgres } from "./json-number.ts";

/** One member of an object: its name, and where its name and its value stand in the text. */
export interface Member {
  readonly name: string;
  /** The name as written, with its quotes. */
  readonly nameText: string;
  readonly start: number;
  readonly end: number;
}

/** The members of the object that `text` holds, in order; a name that comes twice is there twice. */
export function membersOf(text: string): Member[] {
  const members: Member[] = [];
  let at = pastSpace(text, text.indexOf("{") + 1);
  while (text.charCodeAt(at) === QUOTE) {
    const nameEnd = stringEnd(text, at);
    const nameText = text.slice(at, nameEnd);
    const start = pastSpace(text, pastSpace(text, nameEnd) + 1);
    const end = valueEnd(text, start);
    members.push({ name: nameOf(nameText), nameText, start, end });
    at = pastSpace(text, end);
    if (text.charCodeAt(at) === COMMA) at = pastSpace(text, at + 1);
  }
  return members;
}

/** The texts of the elements of the array that `text` holds. */
export function elementsOf(text: string): string[] {
  const elements: string[] = [];
  let at = pastSpace(text, text.indexOf("[") + 1);
  while (text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = valueEnd(text, at);
    elements.push(text.slice(at, end));
    at = pastSpace(text, end);
    if (text.charCodeAt(at) === COMMA) at = pastSpace(text, at + 1);
  }
  return elements;
}

export interface JsonShape {
  /** The text without the white space between its tokens. */
  readonly compact: string;
  /** Brackets within brackets at the deepest place; 0 for a plain value. */
  readonly depth: number;
  /** Whether a number in it is one that PostgreSQL cannot hold (`fitsPostgres`). */
  readonly hasUnfitNumber: boolean;
}

/** What a value looks like as text, in one pass. */
export function shapeOf(text: string): JsonShape {
  let compact = "";
  let kept = 0;
  let depth = 0;
  let deepest = 0;
  let hasUnfitNumber = false;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = stringEnd(text, at);
    } else if (isSpace(code)) {
      compact += text.slice(kept, at);
      at = pastSpace(text, at);
      kept = at;
    } else if (startsNumber(code)) {
      const end = literalEnd(text, at);
      hasUnfitNumber ||= !fitsPostgres(text.slice(at, end));
      at = end;
    } else {
      if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
      if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
      if (depth > deepest) deepest = depth;
      at++;
    }
  }
  return {
    compact: kept === 0 ? text : compact + text.slice(kept),
    depth: deepest,
    hasUnfitNumber,
  };
}

/**
 * Where a NUL character or half a surrogate pair is written, as an escape or as it is; -1 for nowhere.
 * PostgreSQL holds neither in text nor in jsonb. Looks at the text and not at parsed strings, because a
 * member that a later one of the same name replaces is still stored.
 */
export function unfitCharacterAt(text: string): number {
  if (!text.isWellFormed()) return loneHalfAt(text);
  if (!text.includes("\\u")) return -1;
  let high = -1; // where an escaped first half stands that still wants its second
  for (let at = text.indexOf("\\"); at >= 0; ) {
    const unit = text.charCodeAt(at + 1) === LOWER_U ? escapedUnit(text, at) : -1;
    if (high >= 0 && !(isLowHalf(unit) && at === high + 6)) return high;
    if (unit === 0 || (high < 0 && isLowHalf(unit))) return at;
    high = isHighHalf(unit) ? at : -1;
    at = text.indexOf("\\", at + (unit < 0 ? 2 : 6));
  }
  return high;
}

const QUOTE = 34;
const COMMA = 44;
const MINUS = 45;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const LOWER_U = 117;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

function isSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 13 || code === 9;
}

function pastSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function startsNumber(code: number): boolean {
  return code === MINUS || (code >= 48 && code <= 57);
}

/** Past the closing quote of the string that opens at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  for (let code = text.charCodeAt(at); code !== QUOTE; code = text.charCodeAt(at))
    at += code === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** Past the number, `true`, `false` or `null` that begins at `from`. */
function literalEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && !endsLiteral(text.charCodeAt(at))) at++;
  return at;
}

function endsLiteral(code: number): boolean {
  return code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || isSpace(code);
}

function valueEnd(text: string, from: number): number {
  const first = text.charCodeAt(from);
  if (first === QUOTE) return stringEnd(text, from);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return literalEnd(text, from);
  let at = from + 1;
  for (let depth = 1; depth > 0; ) {
    const code = text.charCodeAt(at);
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
    at = code === QUOTE ? stringEnd(text, at) : at + 1;
  }
  return at;
}

function nameOf(nameText: string): string {
  return nameText.includes("\\") ? (JSON.parse(nameText) as string) : nameText.slice(1, -1);
}

/** The UTF-16 unit of the escape `\uXXXX` at `at`. */
function escapedUnit(text: string, at: number): number {
  return Number.parseInt(text.slice(at + 2, at + 6), 16);
}

function isHighHalf(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLowHalf(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

function loneHalfAt(text: string): number {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (isHighHalf(unit) && isLowHalf(text.charCodeAt(at + 1))) at++;
    else if (isHighHalf(unit) || isLowHalf(unit)) return at;
  }
  return -1;
}
