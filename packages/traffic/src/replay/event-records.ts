/**
 * A row of a file → the record to produce, or why there is none. What a column holds is converted to
 * what its field wants; what cannot be is left as it is, so that the event schema, and nobody else,
 * says what is wrong with it.
 */
import { decodeEvent, isRefusal, type Refusal } from "@headrace/events";
import { type ColumnMap, FIELDS, type FieldName } from "./column-map.ts";
import { dataText, type Member, memberOf } from "./event-data-text.ts";
import { parseExactJson } from "./exact-json.ts";
import { instantText, readInstant } from "./instant-text.ts";
import { lineId } from "./line-ids.ts";
import type { Row } from "./rows.ts";

export interface EventRecord {
  /** The user id. */
  readonly key: string;
  /** The event's JSON in UTF-8. */
  readonly value: Buffer;
  /** Its event time, moved by `shiftMicros`. */
  readonly timeMicros: number;
}

export interface RecordOptions {
  readonly map: ColumnMap;
  /** What ids are made from: the file's content, or with `newIds` the run (`lineId`). */
  readonly idSource: string;
  /** Ids that the file brings are replaced too; equal ones by equal ones. */
  readonly newIds: boolean;
  /** Added to event times. */
  readonly shiftMicros: number;
  /** Events over 5 minutes after it are refused; undefined: none is. */
  readonly nowMillis: (() => number) | undefined;
  /** The file is not UTF-8 throughout: what could not be decoded is refused where it stands. */
  readonly isUtf8: boolean;
}

/** How far back the running system takes events is its own setting, and it counts what is too old. */
const HORIZON_DAYS = 100_000;
/** Events of any time are before it: the last one that fits microseconds is in 2255. */
const AFTER_ALL_MILLIS = 9.1e12;
const REPLACEMENT_CHARACTER = "\uFFFD";

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** Makes records one after the other; keeps nothing from one to the next. */
export class EventRecords {
  readonly #options: RecordOptions;
  // Of the row at hand:
  /** JSON texts by the index of their field. */
  readonly #texts: (string | undefined)[] = FIELDS.map(() => undefined);
  #data: unknown;
  #timeMicros = 0;

  constructor(options: RecordOptions) {
    this.#options = options;
  }

  /** The record of a row; a text, which completes "line 17: …", where it has none. */
  of(row: Row): EventRecord | string {
    const others = this.#fill(row);
    this.#texts[INDEX.data] = dataText(this.#data, others);
    this.#texts[INDEX.event_id] = this.#id(row.line);
    const json = objectText(this.#texts);
    if (!this.#options.isUtf8 && json.includes(REPLACEMENT_CHARACTER)) return "is not UTF-8";
    const value = Buffer.from(json);
    const timestampMillis = this.#options.nowMillis?.() ?? AFTER_ALL_MILLIS;
    const position = { topic: "", partition: 0, offset: 0, timestampMillis };
    const event = decodeEvent(value, position, { horizonDays: HORIZON_DAYS });
    if (isRefusal(event)) return this.#reason(event);
    return { key: event.userId, value, timeMicros: event.timeMicros };
  }

  /** Takes the row apart; the columns that are no field. */
  #fill({ names, values }: Row): readonly Member[] {
    this.#texts.fill(undefined);
    this.#data = undefined;
    this.#timeMicros = 0;
    const others: Member[] = [];
    for (let n = 0; n < names.length; n++) {
      const value = values[n];
      if (value === undefined) continue;
      const name = names[n] as string;
      const fields = this.#options.map.fieldsOf(name);
      if (fields === undefined) others.push(memberOf(name, value));
      else if (value !== null) for (const field of fields) this.#set(field, value);
    }
    return others;
  }

  #set(field: FieldName, value: unknown): void {
    if (field === "data") this.#data = dataValue(value);
    else if (field === "event_time") this.#setTime(value);
    else this.#texts[INDEX[field]] = fieldText(field, value);
  }

  #setTime(value: unknown): void {
    const instant = typeof value === "string" ? readInstant(value.trim()) : undefined;
    let text = instant?.text ?? value;
    if (instant !== undefined) {
      const { shiftMicros } = this.#options;
      this.#timeMicros = instant.micros + shiftMicros;
      if (shiftMicros !== 0) text = instantText(this.#timeMicros);
    }
    this.#texts[INDEX.event_time] = JSON.stringify(text);
  }

  /** The JSON text of the event's id. */
  #id(line: number): string {
    const { idSource, newIds } = this.#options;
    const given = this.#texts[INDEX.event_id];
    if (given !== undefined && !newIds) return given;
    const place = given === undefined ? line : `id ${given}`;
    return `"${lineId(idSource, place, Math.floor(this.#timeMicros / 1000))}"`;
  }

  #reason({ code, message, path }: Refusal): string {
    if (code === "event.in_future")
      return "event_time is more than 5 minutes ahead of now (--shift-to-now moves times back)";
    if (path === "") return message;
    const field = path.slice(1) as FieldName;
    const column = this.#options.map.columnOf(field);
    const name = column === undefined || column === field ? field : `${field} (column ${column})`;
    const isMissing = this.#texts[INDEX[field]] === undefined;
    return `${name} ${code === "event.event_time" && !isMissing ? TIME_RULE : message}`;
  }
}

const TIME_RULE = "must be a time such as 2026-01-31 10:15:00 or 2026-01-31T10:15:00.25+01:00";

const INDEX = Object.fromEntries(FIELDS.map((field, n) => [field, n])) as Record<FieldName, number>;
const PREFIXES = FIELDS.map((field) => `"${field}":`);

function objectText(texts: readonly (string | undefined)[]): string {
  let json = "";
  for (let n = 0; n < texts.length; n++) {
    const text = texts[n];
    if (text !== undefined) json += `${json === "" ? "{" : ","}${PREFIXES[n]}${text}`;
  }
  return `${json}}`;
}

function fieldText(field: FieldName, value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  switch (field) {
    case "event_id":
      return JSON.stringify(value.trim().toLowerCase());
    case "value":
    case "duration":
      return numberText(value.trim()) ?? JSON.stringify(value);
    case "amount":
      return JSON.stringify(value.trim());
    default:
      return JSON.stringify(value);
  }
}

function numberText(text: string): string | undefined {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? String(value) : undefined;
}

/** A CSV cell may hold the JSON of an object. */
function dataValue(value: unknown): unknown {
  if (typeof value !== "string" || !value.trimStart().startsWith("{")) return value;
  try {
    return parseExactJson(value);
  } catch {
    return value; // refused by the schema as no object
  }
}
