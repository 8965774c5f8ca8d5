/**
 * The quick way to read an event, for the records that clients send all day: one pass over the bytes,
 * without `JSON.parse`, its objects and the schema. It answers as `decodeThoroughly` does or not at all
 * (undefined), and never refuses: broken rules, broken JSON, names that come twice, exponents, escaped
 * surrogates, and unknown fields beside `data` are left to the thorough way.
 */
import { parseCents } from "@headrace/kernel";
import type { DecodeOptions } from "./decode-event.ts";
import { derivedEventId } from "./derived-id.ts";
import { type Event, FIELD_NAMES, type FieldName, MAX_TEXT_LENGTH } from "./event.ts";
import { MAX_DATA_BYTES, MAX_DATA_DEPTH } from "./event-data.ts";
import { type Instant, readInstant } from "./instant.ts";
import {
  asciiBytes,
  CLOSE_BRACE,
  COLON,
  COMMA,
  JsonCursor,
  MINUS,
  NULL,
  OPEN_BRACE,
  QUOTE,
} from "./json-cursor.ts";
import { shapeOf } from "./json-text.ts";
import type { Position } from "./position.ts";
import { isWithinLimits } from "./time-limits.ts";

export function scanEvent(
  bytes: Buffer,
  position: Position,
  options: DecodeOptions,
): Event | undefined {
  if (bytes.length > MAX_DATA_BYTES) return undefined;
  const text = bytes.toString();
  if (text.includes("\uFFFD")) return undefined;
  const scan = new EventScan(bytes, text);
  if (!scan.members()) return undefined;

  const { time, type, userId } = scan;
  const limits = { timestampMillis: position.timestampMillis, horizonDays: options.horizonDays };
  if (time === null || type === null || userId === null) return undefined;
  if (!isWithinLimits(time.micros, limits)) return undefined;
  return {
    id: scan.id ?? derivedEventId(options.firstPosition ?? position),
    timeMicros: time.micros,
    timeText: time.text,
    type,
    userId,
    sessionId: scan.sessionId,
    value: scan.value,
    amountCents: scan.amountCents,
    durationSeconds: scan.durationSeconds,
    category: scan.category,
    productId: scan.productId,
    region: scan.region,
    data: scan.unknown === "" ? scan.data : `{${scan.unknown}}`,
  };
}

const NAMES = FIELD_NAMES.map(asciiBytes);
const UNKNOWN = NAMES.length;

/** More unknown fields are left to the thorough way, whose cost does not grow with their square. */
const MAX_UNKNOWN = 32;

/** The fields of an event as they are found. */
class EventScan {
  id: string | null = null;
  time: Instant | null = null;
  type: string | null = null;
  userId: string | null = null;
  sessionId: string | null = null;
  value: number | null = null;
  amountCents: number | null = null;
  durationSeconds: number | null = null;
  category: string | null = null;
  productId: string | null = null;
  region: string | null = null;
  data: string | null = null;
  /** Unknown fields, as members of `data`. */
  unknown = "";

  private readonly json: JsonCursor;
  /** One bit for each field that has come. */
  private seen = 0;
  /** The field that is expected next: clients keep their order, mostly that of the schema. */
  private expected = 0;
  private readonly unknownNames: string[] = [];

  constructor(bytes: Uint8Array, text: string) {
    this.json = new JsonCursor(bytes, text);
  }

  /** Reads the whole object; false to have it read thoroughly. */
  members(): boolean {
    const { json } = this;
    if (!json.passSpaced(OPEN_BRACE)) return false;
    do {
      json.space();
      if (!this.member()) return false;
      json.space();
    } while (json.pass(COMMA));
    if (!json.passSpaced(CLOSE_BRACE) || json.at !== json.bytes.length) return false;
    return this.data === null || this.unknown === "";
  }

  /** One name and its value. */
  private member(): boolean {
    const { json } = this;
    const field = this.nextField();
    if (field === UNKNOWN) return this.unknownMember();
    const bit = 1 << field;
    if ((this.seen & bit) !== 0) return false;
    this.seen |= bit;
    this.expected = field + 1;
    json.at += (NAMES[field] as Uint8Array).length + 2;
    if (!json.passSpaced(COLON)) return false;
    return json.byte() === NULL[0] ? json.literal(NULL) : this.fieldValue(FIELD_NAMES[field]);
  }

  /** The field whose name, in quotes, begins here. */
  private nextField(): number {
    for (let n = this.expected; n < UNKNOWN; n++) if (this.isNamed(n)) return n;
    for (let n = 0; n < this.expected; n++) if (this.isNamed(n)) return n;
    return UNKNOWN;
  }

  private isNamed(field: number): boolean {
    const { at, bytes } = this.json;
    const name = NAMES[field] as Uint8Array;
    if (bytes[at + 1 + name.length] !== QUOTE || bytes[at] !== QUOTE) return false;
    for (let n = 0; n < name.length; n++) if (bytes[at + 1 + n] !== name[n]) return false;
    return true;
  }

  private unknownMember(): boolean {
    const { json } = this;
    const name = json.plainString();
    if (name === undefined || !json.passSpaced(COLON)) return false;
    const value = this.rawValue(MAX_DATA_DEPTH - 1);
    if (value === undefined || this.unknownNames.length === MAX_UNKNOWN) return false;
    if (this.unknownNames.includes(name)) return false;
    this.unknownNames.push(name);
    this.unknown += `${this.unknown === "" ? "" : ","}"${name}":${value}`;
    return true;
  }

  private fieldValue(name: FieldName | undefined): boolean {
    switch (name) {
      case "event_id":
        this.id = this.uuid();
        return this.id !== null;
      case "event_time":
        this.time = this.instant();
        return this.time !== null;
      case "event_type":
        this.type = this.typeName();
        return this.type !== null;
      case "user_id":
        this.userId = this.json.byte() === QUOTE ? this.label() : this.integer();
        return this.userId !== null && this.userId !== "";
      case "session_id":
        this.sessionId = this.label();
        return this.sessionId !== null;
      case "value":
        this.value = this.number();
        return this.value !== null;
      case "amount":
        this.amountCents = this.json.byte() === QUOTE ? this.decimalText() : this.cents();
        return this.amountCents !== null;
      case "duration":
        this.durationSeconds = this.number();
        return this.durationSeconds !== null && this.durationSeconds >= 0;
      case "category":
        this.category = this.label();
        return this.category !== null;
      case "product_id":
        this.productId = this.label();
        return this.productId !== null;
      case "region":
        this.region = this.label();
        return this.region !== null;
      case "data":
        this.data =
          (this.json.byte() === OPEN_BRACE ? this.rawValue(MAX_DATA_DEPTH) : null) ?? null;
        return this.data !== null;
      default:
        return false;
    }
  }

  // Each of the following passes one value and returns it, or null for one to be read thoroughly.

  private uuid(): string | null {
    const { json } = this;
    const letters = json.byte() === QUOTE ? uuidLetters(json.bytes, json.at + 1) : NO_UUID;
    if (letters === NO_UUID) return null;
    const start = json.position() + 1;
    json.at += UUID_LENGTH + 2;
    const text = json.text.substring(start, start + UUID_LENGTH);
    return letters === UPPER_LETTERS ? text.toLowerCase() : text;
  }

  private instant(): Instant | null {
    const { json } = this;
    const start = json.at + 1;
    const text = json.plainString();
    return text === undefined ? null : (readInstant(json.bytes, text, start) ?? null);
  }

  private typeName(): string | null {
    const { json } = this;
    const start = json.at + 1;
    const type = json.plainString();
    if (type === undefined || type.length > 64) return null;
    if (!isLowerLetter(json.bytes[start] as number)) return null;
    for (let at = start + 1; at < json.at - 1; at++)
      if (!isTypeCharacter(json.bytes[at] as number)) return null;
    return type;
  }

  private label(): string | null {
    const text = this.json.string();
    return text !== undefined && text.length <= MAX_TEXT_LENGTH ? text : null;
  }

  /** An integer as it is written, which is its decimal text; -0 is not. */
  private integer(): string | null {
    const { json } = this;
    const start = json.position();
    if (!json.number() || json.fractionDigits > 0) return null;
    const text = json.textFrom(start);
    return text.length > MAX_TEXT_LENGTH || text === "-0" ? null : text;
  }

  private number(): number | null {
    const { json } = this;
    const start = json.position();
    if (!json.number()) return null;
    const value = json.numberFrom(start) + 0; // no -0
    return Number.isFinite(value) ? value : null;
  }

  private cents(): number | null {
    const { json } = this;
    if (json.byte() === MINUS || !json.number()) return null;
    if (json.wholeDigits > 10 || json.fractionDigits > 2) return null;
    return json.mantissa * (CENTS[json.fractionDigits] as number);
  }

  private decimalText(): number | null {
    return parseCents(this.json.plainString() ?? "") ?? null;
  }

  /** The text of any value, without white space between tokens. */
  private rawValue(depth: number): string | undefined {
    const { json } = this;
    const start = json.position();
    const { spaces } = json;
    if (!json.skipValue(depth)) return undefined;
    const text = json.textFrom(start);
    return json.spaces === spaces ? text : shapeOf(text).compact;
  }
}

/** Cents of one unit in the last of this many decimals. */
const CENTS = [100, 10, 1];

const DASH = 45;

const UUID_LENGTH = 36;

const NO_UUID = 0;
const LOWER_LETTERS = 1;
const UPPER_LETTERS = 2;

/** Whether a string that begins at `start` is a UUID, and of which letters. */
function uuidLetters(bytes: Uint8Array, start: number): number {
  if (bytes[start + UUID_LENGTH] !== QUOTE) return NO_UUID;
  let letters = LOWER_LETTERS;
  for (let n = 0; n < UUID_LENGTH; n++) {
    const byte = bytes[start + n] as number;
    if (n === 8 || n === 13 || n === 18 || n === 23) {
      if (byte !== DASH) return NO_UUID;
    } else if (!isDigit(byte)) {
      if (byte >= 65 && byte <= 70) letters = UPPER_LETTERS;
      else if (byte < 97 || byte > 102) return NO_UUID;
    }
  }
  return letters;
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

function isLowerLetter(byte: number): boolean {
  return byte >= 97 && byte <= 122;
}

function isTypeCharacter(byte: number): boolean {
  return isLowerLetter(byte) || isDigit(byte) || byte === 95 || byte === 46;
}
