import { bestAttempt } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";

interface Happened {
  readonly type: number;
  readonly at: number;
}

const timesOf = (events: readonly Happened[]): number[][] =>
  [0, 1, 2].map((type) =>
    events.flatMap((event) => (event.type === type ? [event.at] : [])).sort((a, b) => a - b),
  );

function reachedBy(
  steps: readonly number[],
  events: readonly Happened[],
  { within = 100, before = 1000 } = {},
): number[] {
  const rule = { steps, withinMicros: within, startsBeforeMicros: before };
  const reached: number[] = [];
  const count = bestAttempt(rule, timesOf(events), reached);
  return reached.slice(0, count);
}

/** Every attempt tried by itself, every step looked for among all events. */
function bruteForce(
  steps: readonly number[],
  events: readonly Happened[],
  { within, before }: { readonly within: number; readonly before: number },
): number[] {
  const attempts = events
    .filter(({ type, at }) => type === steps[0] && at < before)
    .map(({ at: start }) => {
      const reached = [start];
      for (const step of steps.slice(1)) {
        const last = reached.at(-1) as number;
        const fitting = events
          .filter(({ type, at }) => type === step && at > last && at - start <= within)
          .map(({ at }) => at);
        if (fitting.length === 0) break;
        reached.push(Math.min(...fitting));
      }
      return reached;
    });
  attempts.sort((a, b) => b.length - a.length || (a[0] as number) - (b[0] as number));
  return attempts[0] ?? [];
}

const event = fc.record({
  type: fc.integer({ min: 0, max: 2 }),
  at: fc.integer({ min: 0, max: 30 }),
});
const steps = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 2, maxLength: 5 });

test("equals the best of all attempts, each tried by itself", () => {
  fc.assert(
    fc.property(
      steps,
      fc.array(event, { maxLength: 14 }),
      fc.record({ within: fc.integer({ min: 1, max: 12 }), before: fc.integer({ max: 30 }) }),
      (asked, events, limits) => {
        expect(reachedBy(asked, events, limits)).toEqual(bruteForce(asked, events, limits));
      },
    ),
    { numRuns: 2000 },
  );
});

test("a later attempt that gets further counts, with its own times", () => {
  const events = [
    { type: 0, at: 0 },
    { type: 1, at: 5 },
    { type: 0, at: 20 },
    { type: 1, at: 22 },
    { type: 2, at: 25 },
  ];
  expect(reachedBy([0, 1, 2], events, { within: 10, before: 100 })).toEqual([20, 22, 25]);
});

test("of two that get as far the earlier counts", () => {
  const events = [0, 1, 2].flatMap((start) => [
    { type: 0, at: start * 10 },
    { type: 1, at: start * 10 + 3 },
  ]);
  expect(reachedBy([0, 1, 2], events)).toEqual([0, 3]);
});

test("a step at the limit counts, one behind it does not", () => {
  const events = (last: number) => [
    { type: 0, at: 0 },
    { type: 1, at: last },
  ];
  expect(reachedBy([0, 1], events(10), { within: 10, before: 100 })).toEqual([0, 10]);
  expect(reachedBy([0, 1], events(11), { within: 10, before: 100 })).toEqual([0]);
});

test("a repeated step needs an event of its own, strictly later", () => {
  expect(reachedBy([0, 0], [{ type: 0, at: 4 }])).toEqual([4]);
  expect(
    reachedBy(
      [0, 0],
      [4, 4].map((at) => ({ type: 0, at })),
    ),
  ).toEqual([4]);
  expect(
    reachedBy(
      [0, 0, 0],
      [4, 5, 9].map((at) => ({ type: 0, at })),
    ),
  ).toEqual([4, 5, 9]);
});

test("an attempt begins before the range ends, its steps may follow", () => {
  const events = [
    { type: 0, at: 9 },
    { type: 0, at: 10 },
    { type: 1, at: 15 },
  ];
  expect(reachedBy([0, 1], events, { within: 100, before: 10 })).toEqual([9, 15]);
  expect(reachedBy([0, 1], events.slice(1), { within: 100, before: 10 })).toEqual([]);
});
