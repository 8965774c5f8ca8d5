/**
 * What one transaction adds to the results of its records: window states, lateness, watermark, and
 * the weeks it touches. One fold per lane: records that came in order, or those of one gap.
 */
import { type Event, lateClass, nextWatermark } from "@headrace/events";
import { WindowState, windowStart } from "@headrace/windows";
import type { DecodedRecord } from "./batch.ts";
import { weekOf } from "./weeks.ts";

export const OTHER_TYPE = "other";

/** Events by `late_class`. */
export type LateCounts = [number, number, number, number, number];

/** New rows of one week. Times in µs. */
export interface WeekRows {
  rows: number;
  leastMicros: number;
  greatestMicros: number;
}

export class LaneFold {
  /** 0 for records that came in order. Settled before the lane is written (a gap may be split). */
  gapId: number;
  /** µs; null before the partition's first event. */
  watermarkMicros: number | null;
  events = 0;
  duplicates = 0;
  deadLetters = 0;
  /** Records left out because their user was erased after them. */
  erased = 0;
  /** Late events by class, at index 1 to 4. */
  readonly late: LateCounts = [0, 0, 0, 0, 0];
  readonly weeks = new Map<number, WeekRows>();
  /** By event type, then by window start in µs. */
  readonly windows = new Map<string, Map<number, WindowState>>();
  firstOffset = -1;
  lastOffset = -1;

  constructor(gapId: number, watermarkMicros: number | null) {
    this.gapId = gapId;
    this.watermarkMicros = watermarkMicros;
  }

  /** Counts a new event and says how late it is. `windowType` is its type, or `other`. */
  add(decoded: DecodedRecord, event: Event, windowType: string): number {
    const { timeMicros } = event;
    const late = this.watermarkMicros === null ? 0 : lateClass(timeMicros, this.watermarkMicros);
    this.watermarkMicros = nextWatermark(this.watermarkMicros, timeMicros, decoded.recordMicros);
    this.events += 1;
    this.late[late] += 1;
    if (this.firstOffset < 0) this.firstOffset = decoded.record.offset;
    this.lastOffset = decoded.record.offset;
    this.#addToWeek(timeMicros);
    this.#windowOf(windowType, timeMicros).add({
      userId: event.userId,
      value: event.value,
      amountCents: event.amountCents,
      durationSeconds: event.durationSeconds,
      lateClass: late,
    });
    return late;
  }

  #addToWeek(timeMicros: number): void {
    const week = weekOf(timeMicros);
    const rows = this.weeks.get(week);
    if (rows === undefined) {
      this.weeks.set(week, { rows: 1, leastMicros: timeMicros, greatestMicros: timeMicros });
      return;
    }
    rows.rows += 1;
    if (timeMicros < rows.leastMicros) rows.leastMicros = timeMicros;
    if (timeMicros > rows.greatestMicros) rows.greatestMicros = timeMicros;
  }

  #windowOf(windowType: string, timeMicros: number): WindowState {
    let starts = this.windows.get(windowType);
    if (starts === undefined) {
      starts = new Map();
      this.windows.set(windowType, starts);
    }
    const start = windowStart(timeMicros, "10s");
    let state = starts.get(start);
    if (state === undefined) {
      state = WindowState.empty();
      starts.set(start, state);
    }
    return state;
  }
}
