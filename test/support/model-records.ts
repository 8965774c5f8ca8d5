/**
 * Random records as clients send them: events near their clock and late by every class, with figures
 * of every sign, repeated and contradicting ones, some without an id, and some that nobody can read.
 */
import { encodeFirstPosition, FIRST_POSITION_HEADER } from "@headrace/events";
import type { Random } from "./faults-random.ts";
import type { LogRecord, Produced } from "./model-log.ts";
import { POISON } from "./poison.ts";

type Fields = Record<string, unknown>;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Two minutes before a day ends, a Sunday: events fall on both sides of every size and of a week. */
const START = Date.UTC(2026, 0, 4, 23, 58, 0);

export const TYPES = ["page_view", "purchase", "add_to_cart", "login", "checkout_start"];

export interface RecordMakerOptions {
  /** Share of records that repeat an earlier event, and of those that can never be read. */
  readonly repeated: number;
  readonly broken: number;
  /** Share of events that come for windows of the last minutes. */
  readonly belated: number;
  readonly timestampType: Produced["timestampType"];
  /** Types besides the usual ones, of which most are beyond the limit. */
  readonly rareTypes: readonly string[];
  /** Bytes of `data` on some events, so that a batch takes PostgreSQL several pieces. */
  readonly dataBytes: number;
  /** Share of events that a database may be made to refuse. */
  readonly poison: number;
}

export class RecordMaker {
  readonly #random: Random;
  readonly #options: RecordMakerOptions;
  /** Milliseconds; producers' clocks move on with every record. */
  #clock = START;
  readonly #sent: Fields[] = [];

  constructor(random: Random, options: RecordMakerOptions) {
    this.#random = random;
    this.#options = options;
  }

  /** Where producers' clocks stand, ms. */
  get clock(): number {
    return this.#clock;
  }

  /** Makes time pass for producers. */
  wait(millis: number): void {
    this.#clock += millis;
  }

  /** `earlier`: records that may be sent again from where they lie. */
  next(earlier: readonly LogRecord[]): Produced {
    this.#clock += this.#random.whole(0, 2500);
    const { repeated, broken } = this.#options;
    const kind = this.#random.weighted({
      fresh: 1 - repeated - broken,
      repeated: this.#sent.length > 0 ? repeated : 0,
      broken: broken * 0.9,
      replayed: earlier.length > 0 ? broken * 0.3 : 0,
    });
    if (kind === "fresh") return this.#produced(this.fresh());
    if (kind === "repeated") return this.#produced(this.#repeated());
    if (kind === "broken") return this.#produced(this.#broken());
    return this.#replayed(this.#random.pick(earlier));
  }

  /** One that was never sent before. */
  news(): Produced {
    return this.#produced({ ...this.fresh(), event_id: this.#random.uuid() });
  }

  /** The same events for two partitions, the second in opposite order. */
  mirrored(count: number): readonly [Produced[], Produced[]] {
    const events = Array.from({ length: count }, () => {
      this.#clock += this.#random.whole(0, 500);
      return { ...this.fresh(), event_id: this.#random.uuid() };
    });
    return [
      events.map((event) => this.#produced(event)),
      events.toReversed().map((event) => this.#produced(event)),
    ];
  }

  fresh(): Fields {
    const random = this.#random;
    const event: Fields = {
      ...(random.chance(0.05) ? {} : { event_id: this.#id() }),
      event_time: timeText(this.#clock + this.#lateness(), random),
      event_type: this.#type(),
      user_id: this.#user(),
      ...this.#figures(),
      ...(random.chance(0.3) ? { session_id: `s${random.whole(0, 5)}` } : {}),
      ...(random.chance(0.2) ? { category: random.pick(["toys", "\\N", "a\tb\nc", ""]) } : {}),
      ...(random.chance(0.2) ? { product_id: `p${random.whole(0, 9)}` } : {}),
      ...(random.chance(0.2) ? { region: null } : {}),
      ...this.#data(),
    };
    this.#sent.push(event);
    return event;
  }

  #id(): string {
    const id = this.#random.uuid();
    return this.#random.chance(0.1) ? id.toUpperCase() : id;
  }

  /** How far from the producer's clock, ms: mostly near it, else late by every class. */
  #lateness(): number {
    const random = this.#random;
    if (random.chance(this.#options.belated)) return -random.whole(0, 2 * MINUTE);
    const how = random.weighted({ near: 80, ahead: 3, edge: 4, m: 5, h: 4, d: 2, older: 2 });
    if (how === "near") return random.whole(-6 * SECOND, 2 * SECOND) + random.fraction();
    if (how === "ahead") return random.whole(0, 4 * MINUTE);
    // On the border of a 10 s window.
    if (how === "edge") return -(this.#clock % (10 * SECOND)) - random.pick([0, 0.001]);
    if (how === "m") return -random.whole(0, MINUTE);
    if (how === "h") return -random.whole(MINUTE, HOUR);
    return how === "d" ? -random.whole(HOUR, DAY) : -random.whole(DAY, 15 * DAY);
  }

  #type(): string {
    const { rareTypes } = this.#options;
    const isRare = rareTypes.length > 0 && this.#random.chance(0.3);
    return this.#random.pick(isRare ? rareTypes : [...TYPES, "other"]);
  }

  #user(): string | number {
    const random = this.#random;
    const { poison } = this.#options;
    if (poison > 0 && random.chance(poison)) return POISON;
    if (random.chance(0.05)) return random.whole(0, 5);
    return random.chance(0.05) ? "with\ttab \\ and é" : `u${random.whole(0, 12)}`;
  }

  #figures(): Fields {
    const random = this.#random;
    const figures: Fields = {};
    if (random.chance(0.7)) {
      const size = random.pick([0, 1, 1, 1000, 1e9]);
      figures.value = (random.fraction() * 2 - 1) * size;
    }
    if (random.chance(0.4)) {
      const cents = random.whole(0, random.pick([0, 10_000, 1e11]));
      figures.amount = random.chance(0.5) ? (cents / 100).toFixed(2) : Math.floor(cents / 100);
    }
    if (random.chance(0.4)) figures.duration = random.fraction() * 300;
    return figures;
  }

  #data(): Fields {
    const { dataBytes } = this.#options;
    if (!this.#random.chance(0.3)) return {};
    const size = dataBytes > 0 ? this.#random.whole(0, dataBytes) : 8;
    return { data: { note: "x".repeat(size), n: 1 }, unknown: [1, "two"] };
  }

  /** The same event once more, or one that shares its id. */
  #repeated(): Fields {
    const random = this.#random;
    const recent = this.#sent.slice(-60);
    const event = random.pick(random.chance(0.7) ? recent : this.#sent);
    const how = random.weighted({ same: 70, contradicting: 20, otherTime: 10 });
    if (how === "same") return event;
    if (how === "contradicting") return { ...event, value: 4711, user_id: "late comer" };
    return { ...event, event_time: timeText(this.#clock, random) };
  }

  #broken(): Fields | string | null {
    const random = this.#random;
    const event = this.fresh();
    this.#sent.pop();
    return random.pick([
      null,
      "not json",
      "",
      "[]",
      { ...event, amount: -1 },
      { ...event, event_type: "No Type" },
      { ...event, user_id: "nul \u0000" },
      { ...event, event_time: "yesterday" },
      { ...event, event_time: "1999-01-01T00:00:00Z" },
      { ...event, event_time: timeText(this.#clock + 2 * DAY, random) },
    ]);
  }

  /** The bytes of an earlier record, which carries its first position. */
  #replayed(record: LogRecord): Produced {
    const place = encodeFirstPosition(record.firstPosition);
    const headers = [[FIRST_POSITION_HEADER, Buffer.from(place)] as const];
    return { ...this.#produced(null), value: record.value, headers };
  }

  #produced(value: Fields | string | null): Produced {
    const random = this.#random;
    const { timestampType } = this.#options;
    const isOwnClock = timestampType === "CREATE_TIME";
    // Producers' own clocks go their own ways; the broker's only forward.
    const offBy = isOwnClock ? random.pick([-2 * MINUTE, 0, 0, 0, SECOND, 1000 * DAY]) : 0;
    const text = typeof value === "string" ? value : JSON.stringify(value, null, spaces(random));
    return {
      value: value === null ? null : Buffer.from(text),
      key: random.chance(0.1) ? null : Buffer.from(`k${random.whole(0, 9)}`),
      headers: random.chance(0.1) ? [["trace", Buffer.from("é")]] : [],
      timestampMillis: this.#clock + offBy,
      timestampType,
    };
  }
}

/** White space takes a record off the decoder's shortcut. */
const spaces = (random: Random): number => (random.chance(0.1) ? 1 : 0);

/** In one of the forms that clients send. */
function timeText(millis: number, random: Random): string {
  const whole = Math.floor(millis);
  const micros = String(Math.floor((millis - whole) * 1000)).padStart(3, "0");
  const form = random.weighted({ micros: 6, millis: 2, offset: 1, nanos: 1 });
  const text = (at: number): string => new Date(at).toISOString().slice(0, -1);
  if (form === "millis") return `${text(whole)}Z`;
  if (form === "offset") return `${text(whole + 2 * HOUR)}${micros}+02:00`;
  return form === "nanos" ? `${text(whole)}${micros}999Z` : `${text(whole)}${micros}Z`;
}
