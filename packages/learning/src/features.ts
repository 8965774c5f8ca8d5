/**
 * The feature vector of one user at one moment: what predictions read and what models learn from.
 *
 * It looks at the events in (at - window, at], so that windows laid end to end count each event once
 * and an event at the very moment counts; and, for the stages, at the gap session that is running at
 * `at`, which may have begun before the window. No event after `at` changes it, and neither does the
 * order in which events are handed over.
 */
import type { Event } from "@headrace/events";
import { Moments } from "@headrace/windows";

/** What features read of an event. */
export type FeatureEvent = Pick<Event, "id" | "timeMicros" | "type" | "value">;

const MINUTE = 60_000_000;

export const FEATURE_WINDOW_MICROS = {
  standard: 60 * MINUTE,
  min: MINUTE,
  max: 24 * 60 * MINUTE,
} as const;

/** A session ends where nothing comes for longer; exactly as long does not end it. */
const SESSION_GAP_MICROS = 30 * MINUTE;

/** How far on its way to a purchase a session has come, and the events that say so. */
export const STAGES = [
  { name: "added_to_cart", eventTypes: ["add_to_cart"] },
  { name: "viewed_cart", eventTypes: ["cart"] },
  { name: "checkout", eventTypes: ["checkout_start", "shipping_details"] },
  { name: "payment", eventTypes: ["payment_details"] },
  { name: "bought", eventTypes: ["purchase"] },
] as const;
export type StageName = (typeof STAGES)[number]["name"];

export const FEATURE_UNITS = ["events", "types", "value", "sessions", "flag"] as const;
export type FeatureUnit = (typeof FEATURE_UNITS)[number];

/** What the events came to, from which every feature is read. */
interface Seen {
  /** Of the window. */
  events: number;
  sessions: number;
  readonly types: Set<string>;
  readonly values: Moments;
  /** Of the running session; none where no session runs. */
  readonly stages: Set<StageName>;
}

export interface Feature {
  readonly name: string;
  /** `value` is that of the events' own measure; a flag is 0 or 1. */
  readonly unit: FeatureUnit;
  /** null where there is nothing to tell: no event of the window has a value. A model reads it as 0. */
  readonly of: (seen: Readonly<Seen>) => number | null;
}

/** All features in the order of the vector; a model's weights rely on it. */
export const FEATURES: readonly Feature[] = [
  { name: "event_count", unit: "events", of: ({ events }) => events },
  { name: "distinct_types", unit: "types", of: ({ types }) => types.size },
  { name: "value_total", unit: "value", of: ({ values }) => values.sum() },
  { name: "value_mean", unit: "value", of: ({ values }) => values.mean() },
  { name: "value_max", unit: "value", of: ({ values }) => values.max() },
  { name: "session_count", unit: "sessions", of: ({ sessions }) => sessions },
  ...STAGES.map(
    ({ name }): Feature => ({ name, unit: "flag", of: ({ stages }) => Number(stages.has(name)) }),
  ),
];

/**
 * The vector, in the order of `FEATURES`. `events`: of one user, in any order, each once; at least
 * all of the window, and all of the session that is running at `atMicros`, from its start.
 */
export function featuresOf(
  events: readonly FeatureEvent[],
  atMicros: number,
  windowMicros: number,
): (number | null)[] {
  const fold = new FeatureFold(atMicros, windowMicros);
  for (const event of events.toSorted(newestFirst)) fold.add(event);
  return fold.vector();
}

const newestFirst = (a: FeatureEvent, b: FeatureEvent): number =>
  b.timeMicros - a.timeMicros || (a.id < b.id ? 1 : -1);

const stageOf = new Map<string, StageName>(
  STAGES.flatMap(({ name, eventTypes }) => eventTypes.map((type) => [type, name] as const)),
);

/**
 * The same for who reads a user's events page by page: they come newest first by (time, id), and
 * `needsFromMicros` tells from where on older ones no longer matter.
 */
export class FeatureFold {
  readonly #atMicros: number;
  /** Events at this time or before lie outside the window. */
  readonly #endMicros: number;
  readonly #seen: Seen = {
    events: 0,
    sessions: 0,
    types: new Set(),
    values: new Moments(),
    stages: new Set(),
  };
  /** Time of the event before; null before the first. */
  #oldestMicros: number | null = null;
  /** Whether the event before belongs to the session that is running. */
  #isRunning = true;

  constructor(atMicros: number, windowMicros: number) {
    this.#atMicros = atMicros;
    this.#endMicros = atMicros - windowMicros;
  }

  add({ timeMicros, type, value }: FeatureEvent): void {
    if (timeMicros > this.#atMicros) return;
    const isFirst = this.#oldestMicros === null;
    const pauseMicros = (this.#oldestMicros ?? this.#atMicros) - timeMicros;
    if (pauseMicros < 0) throw new RangeError("events must come newest first");
    this.#oldestMicros = timeMicros;

    const isNewSession = pauseMicros > SESSION_GAP_MICROS;
    if (isNewSession) this.#isRunning = false;
    const stage = this.#isRunning ? stageOf.get(type) : undefined;
    if (stage !== undefined) this.#seen.stages.add(stage);

    if (timeMicros <= this.#endMicros) return;
    this.#seen.events += 1;
    this.#seen.types.add(type);
    if (value !== null) this.#seen.values.add(value);
    if (isFirst || isNewSession) this.#seen.sessions += 1;
  }

  /** Events before this time change nothing; µs. Falls with each event of the running session. */
  get needsFromMicros(): number {
    const allStages = this.#seen.stages.size === STAGES.length;
    if (!this.#isRunning || allStages) return this.#endMicros;
    return Math.min(this.#endMicros, (this.#oldestMicros ?? this.#atMicros) - SESSION_GAP_MICROS);
  }

  vector(): (number | null)[] {
    return FEATURES.map((feature) => feature.of(this.#seen));
  }
}
