/**
 * Everything that is kept of the events of one type in one window: a mergeable state, stored as
 * bytes, from which every figure of a window is made.
 *
 * Counts, money, min and max are exact; `value_sum` and the means hold to 1e-9 of the sum of
 * magnitudes and far beyond; quantiles to 1 %; distinct users are exact up to 256, then within a
 * standard error of 1.6 %. Events are added once each: a state cannot tell a repeated event.
 *
 * Stored form, version 1: version, flags of the parts that follow, event count, late events, users,
 * values, durations, revenue, checksum. A single event takes 15 to 45 bytes, a busy window 3 to 4 KiB
 * (3 KiB of registers, the rest bins), and nothing more than `MAX_STATE_BYTES`. The same events make
 * the same bytes in whatever order and groups they came, but for the 32nd digit of sums that do not
 * fit 106 bits (double-double.ts).
 */
import { bug, MAX_AMOUNT_CENTS } from "@headrace/kernel";
import { ByteReader, ByteWriter, damaged } from "./bytes.ts";
import { Distinct } from "./distinct.ts";
import { Durations } from "./durations.ts";
import type { ExactTotal } from "./exact-total.ts";
import { checksum } from "./hash.ts";
import { LAST_BIN } from "./log-bins.ts";
import type { Mergeable } from "./mergeable.ts";
import { Revenue } from "./revenue.ts";
import { Values } from "./values.ts";

/** What a window wants to know of an event; null means that the event has none. */
export interface WindowInput {
  readonly userId: string;
  /** Finite. */
  readonly value: number | null;
  /** A whole number from 0 to `MAX_AMOUNT_CENTS`. */
  readonly amountCents: number | null;
  /** Finite, at least 0. */
  readonly durationSeconds: number | null;
  /** 0 on time, else how late: within 1 min, 1 h, 1 d, or older. */
  readonly lateClass: 0 | 1 | 2 | 3 | 4;
}

/** A figure is null where there is nothing to tell, and where it is beyond the range of doubles. */
export interface WindowFigures {
  readonly eventCount: number;
  /** Events that carry a value; the figures `value…` are of these. */
  readonly valueCount: number;
  readonly valueSum: number | null;
  readonly valueMean: number | null;
  readonly valueMin: number | null;
  readonly valueMax: number | null;
  /** Of the sample; null below two values. */
  readonly valueStddev: number | null;
  readonly valueP50: number | null;
  readonly valueP95: number | null;
  readonly valueP99: number | null;
  readonly distinctUsers: number;
  readonly revenueCents: bigint;
  /** Events that carry a duration. */
  readonly durationCount: number;
  /** Seconds. */
  readonly durationMean: number | null;
  readonly lateEvents: number;
}

export interface WindowUsers {
  readonly eventCount: number;
  readonly users: Distinct;
}

export class WindowState implements Mergeable<WindowInput, WindowState> {
  #eventCount = 0;
  #lateEvents = 0;
  #users = new Distinct();
  // Null until an event has one: many types of event never do, and ingest makes a state for every
  // batch and window.
  #values: Values | null = null;
  #durations: Durations | null = null;
  #revenue: Revenue | null = null;

  static empty(): WindowState {
    return new WindowState();
  }

  /** Throws `window.input_malformed`, and adds nothing, if a number is none of those allowed. */
  add(input: WindowInput): void {
    const { value, amountCents, durationSeconds } = input;
    if (!isAllowed(value, amountCents, durationSeconds)) {
      const numbers = `value ${value}, cents ${amountCents}, seconds ${durationSeconds}`;
      throw bug("window.input_malformed", `a window cannot take in ${numbers}`);
    }
    this.#eventCount++;
    if (input.lateClass !== 0) this.#lateEvents++;
    this.#users.add(input.userId);
    if (value !== null) {
      this.#values ??= new Values();
      this.#values.add(value);
    }
    if (durationSeconds !== null) {
      this.#durations ??= new Durations();
      this.#durations.add(durationSeconds);
    }
    if (amountCents !== null) {
      this.#revenue ??= new Revenue();
      this.#revenue.add(amountCents);
    }
  }

  merge(other: WindowState): void {
    this.#eventCount += other.#eventCount;
    this.#lateEvents += other.#lateEvents;
    this.#users.merge(other.#users);
    if (other.#values !== null) {
      this.#values ??= new Values();
      this.#values.merge(other.#values);
    }
    if (other.#durations !== null) {
      this.#durations ??= new Durations();
      this.#durations.merge(other.#durations);
    }
    if (other.#revenue !== null) {
      this.#revenue ??= new Revenue();
      this.#revenue.merge(other.#revenue);
    }
  }

  clone(): WindowState {
    const copy = new WindowState();
    copy.merge(this);
    return copy;
  }

  figures(): WindowFigures {
    const values = this.#values;
    const moments = values?.moments;
    return {
      eventCount: this.#eventCount,
      valueCount: moments?.count ?? 0,
      valueSum: moments?.sum() ?? null,
      valueMean: moments?.mean() ?? null,
      valueMin: moments?.min() ?? null,
      valueMax: moments?.max() ?? null,
      valueStddev: moments?.stddev() ?? null,
      valueP50: values?.quantile(0.5) ?? null,
      valueP95: values?.quantile(0.95) ?? null,
      valueP99: values?.quantile(0.99) ?? null,
      // An estimate may exceed the number of events; the truth cannot.
      distinctUsers: Math.min(this.#users.count(), this.#eventCount),
      revenueCents: this.#revenue?.cents() ?? 0n,
      durationCount: this.#durations?.count ?? 0,
      durationMean: this.#durations?.mean() ?? null,
      lateEvents: this.#lateEvents,
    };
  }

  /** Adds count and sum of the values to `total`, as exactly as they are kept. */
  addValuesTo(total: ExactTotal): void {
    this.#values?.moments.addTo(total);
  }

  /** The stored form; a buffer of its own. */
  encode(): Buffer {
    writer.clear();
    writer.byte(VERSION);
    writer.byte(
      (this.#lateEvents > 0 ? HAS_LATE : 0) |
        (this.#values !== null ? HAS_VALUES : 0) |
        (this.#durations !== null ? HAS_DURATIONS : 0) |
        (this.#revenue !== null ? HAS_REVENUE : 0),
    );
    writer.count(this.#eventCount);
    if (this.#lateEvents > 0) writer.count(this.#lateEvents);
    this.#users.write(writer);
    this.#values?.write(writer);
    this.#durations?.write(writer);
    this.#revenue?.write(writer);
    writer.word(checksum(writer.written(), writer.length));
    return Buffer.from(writer.written());
  }

  /**
   * Throws `window.state_damaged` for bytes that are not whole, whose checksum is wrong, whose
   * version is unknown or whose parts contradict each other.
   */
  static decode(bytes: Uint8Array): WindowState {
    const { reader, flags, eventCount, lateEvents, users } = readHead(bytes);
    const state = new WindowState();
    state.#eventCount = eventCount;
    state.#lateEvents = lateEvents;
    state.#users = users;
    if (flags & HAS_VALUES) state.#values = Values.read(reader);
    if (flags & HAS_DURATIONS) state.#durations = Durations.read(reader);
    if (flags & HAS_REVENUE) state.#revenue = Revenue.read(reader);
    reader.end();
    state.#mustAgree();
    return state;
  }

  /**
   * Only how many events and which users the stored form holds, for a report that unites the users
   * of many windows: what follows them is covered by the checksum but not read. Throws as `decode`.
   */
  static decodeUsers(bytes: Uint8Array): WindowUsers {
    const { eventCount, users } = readHead(bytes);
    return { eventCount, users };
  }

  /** No part can have seen more than the events that there were. */
  #mustAgree(): void {
    const most = Math.max(
      this.#lateEvents,
      this.#users.least,
      this.#values?.moments.count ?? 0,
      this.#durations?.count ?? 0,
    );
    if (most > this.#eventCount) throw damaged("its counts disagree");
  }
}

/**
 * What no state exceeds: 9 bytes for every bin that a double can fall into, and the rest. With |v|
 * from 1e-9 to 1e15 and a billion events it is 32 KiB, with all values within a power of ten 4 KiB.
 */
export const MAX_STATE_BYTES = 4096 + 9 * (2 * LAST_BIN + 1);

const VERSION = 1;
const HAS_LATE = 1;
const HAS_VALUES = 2;
const HAS_DURATIONS = 4;
const HAS_REVENUE = 8;
const ALL_PARTS = 15;
const CHECKSUM_BYTES = 4;

/** What every stored state begins with; the reader then stands at the parts that `flags` names. */
function readHead(bytes: Uint8Array) {
  const end = bytes.length - CHECKSUM_BYTES;
  const reader = new ByteReader(bytes, 0, end);
  const version = reader.byte();
  if (version !== VERSION) throw damaged(`its version is ${version}, known is ${VERSION}`);
  if (new ByteReader(bytes, end, bytes.length).word() !== checksum(bytes, end)) {
    throw damaged("its checksum is wrong");
  }
  const flags = reader.byte();
  if (flags > ALL_PARTS) throw damaged("it has parts of an unknown kind");
  const eventCount = reader.count();
  const lateEvents = flags & HAS_LATE ? reader.count() : 0;
  return { reader, flags, eventCount, lateEvents, users: Distinct.read(reader) };
}

/** One for all states: nothing else runs between an `encode`'s first and last byte. */
const writer = new ByteWriter();

function isAllowed(value: number | null, cents: number | null, seconds: number | null): boolean {
  if (value !== null && !Number.isFinite(value)) return false;
  if (seconds !== null && !(seconds >= 0 && seconds <= Number.MAX_VALUE)) return false;
  return cents === null || (Number.isInteger(cents) && cents >= 0 && cents <= MAX_AMOUNT_CENTS);
}
