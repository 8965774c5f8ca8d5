import { FEATURES, type FeatureEvent, FeatureFold, featuresOf, STAGES } from "@headrace/learning";
import fc from "fast-check";
import { expect, test } from "vitest";

const MINUTE = 60_000_000;
const AT = Date.UTC(2026, 0, 1, 12) * 1000;
const HOUR = 60 * MINUTE;

let made = 0;
/** `minutes` before `AT`. */
const event = (minutes: number, type = "page_view", value: number | null = null): FeatureEvent => ({
  id: `00000000-0000-4000-8000-${String(++made).padStart(12, "0")}`,
  timeMicros: AT - minutes * MINUTE,
  type,
  value,
});

const named = (events: readonly FeatureEvent[], at = AT, window = HOUR) => {
  const vector = featuresOf(events, at, window);
  return Object.fromEntries(FEATURES.map(({ name }, place) => [name, vector[place]]));
};

test("the vector's names, order and units are these", () => {
  expect(FEATURES.map(({ name, unit }) => `${name}: ${unit}`)).toEqual([
    "event_count: events",
    "distinct_types: types",
    "value_total: value",
    "value_mean: value",
    "value_max: value",
    "session_count: sessions",
    "added_to_cart: flag",
    "viewed_cart: flag",
    "checkout: flag",
    "payment: flag",
    "bought: flag",
  ]);
});

test("no events make a vector of nothing", () => {
  expect(featuresOf([], AT, HOUR)).toEqual([0, 0, null, null, null, 0, 0, 0, 0, 0, 0]);
});

test("counts, types and values are those of the window", () => {
  const events = [
    event(59, "page_view", 3),
    event(50, "page_view", -1),
    event(10, "search", 10),
    event(5, "page_view"),
    event(61, "login", 100),
  ];
  expect(named(events)).toMatchObject({
    event_count: 4,
    distinct_types: 2,
    value_total: 12,
    value_mean: 4,
    value_max: 10,
    session_count: 2,
  });
});

test("an event at the very moment counts, one at the window's beginning does not", () => {
  expect(named([event(0), event(60)])).toMatchObject({ event_count: 1 });
  expect(named([event(0), event(60 - 1 / MINUTE)])).toMatchObject({ event_count: 2 });
});

test("a pause of exactly 30 minutes does not end a session, a microsecond more does", () => {
  expect(named([event(50), event(20)])).toMatchObject({ session_count: 1 });
  expect(named([event(50 + 1 / MINUTE), event(20)])).toMatchObject({ session_count: 2 });
});

test("stages are those of the session that runs, from before the window too", () => {
  const events = [event(0), event(25), event(50), event(75, "add_to_cart"), event(110, "purchase")];
  expect(named(events)).toMatchObject({ event_count: 3, added_to_cart: 1, bought: 0 });
});

test("no stage is told of a session that has ended", () => {
  expect(named([event(30, "purchase")])).toMatchObject({ bought: 1 });
  expect(named([event(30 + 1 / MINUTE, "purchase")])).toMatchObject({ event_count: 1, bought: 0 });
});

test.each(
  STAGES.flatMap(({ name, eventTypes }) => eventTypes.map((type) => [type, name] as const)),
)("%s is stage %s and no other", (type, name) => {
  const flags = FEATURES.filter(({ unit }) => unit === "flag").map((feature) => feature.name);
  const vector = named([event(1, type)]);
  expect(flags.filter((flag) => vector[flag] === 1)).toEqual([name]);
});

test("sums beyond the greatest number are told as nothing", () => {
  expect(named([event(1, "a", 1.7e308), event(2, "a", 1.7e308)])).toMatchObject({
    value_total: null,
    value_mean: 1.7e308,
    value_max: 1.7e308,
  });
});

const anyEvent = fc
  .record({
    half: fc.integer({ min: -40, max: 300 }),
    type: fc.constantFrom("page_view", "add_to_cart", "cart", "purchase", "login"),
    value: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
  })
  .map(({ half, type, value }) => event(half / 2, type, value));
const anyEvents = fc.array(anyEvent, { maxLength: 30 });
const anyWindow = fc.integer({ min: 1, max: 1440 }).map((minutes) => minutes * MINUTE);

test("the order in which events are handed over does not matter", () => {
  const shuffled = anyEvents.chain((events) =>
    fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length })),
  );
  fc.assert(
    fc.property(shuffled, anyWindow, ([events, others], window) => {
      expect(featuresOf(others, AT, window)).toEqual(featuresOf(events, AT, window));
    }),
  );
});

test("no event after the moment changes the vector", () => {
  fc.assert(
    fc.property(anyEvents, anyWindow, (events, window) => {
      const before = events.filter(({ timeMicros }) => timeMicros <= AT);
      expect(featuresOf(events, AT, window)).toEqual(featuresOf(before, AT, window));
    }),
  );
});

test("what lies before the time that a fold still needs changes nothing", () => {
  fc.assert(
    fc.property(anyEvents, anyWindow, (events, window) => {
      const newestFirst = events.toSorted(
        (a, b) => b.timeMicros - a.timeMicros || (a.id < b.id ? 1 : -1),
      );
      const fold = new FeatureFold(AT, window);
      for (const each of newestFirst) {
        if (each.timeMicros < fold.needsFromMicros) break;
        fold.add(each);
      }
      expect(fold.vector()).toEqual(featuresOf(events, AT, window));
    }),
  );
});

test("a fold refuses events that do not come newest first", () => {
  const fold = new FeatureFold(AT, HOUR);
  fold.add(event(2));
  expect(() => fold.add(event(1))).toThrow(/newest first/);
});
