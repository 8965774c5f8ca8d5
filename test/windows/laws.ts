/** The laws every mergeable state obeys. A new one is a few lines in its own test file. */
import type { Mergeable } from "@headrace/windows";
import fc from "fast-check";
import { test } from "vitest";

/**
 * `assertSame(actual, expected, inputs)` compares two states that must tell the same; `inputs` are
 * all that went into either, for tolerances that depend on them.
 */
export function obeysMergeLaws<Input, State extends Mergeable<Input, State>>(
  name: string,
  empty: () => State,
  input: fc.Arbitrary<Input>,
  assertSame: (actual: State, expected: State, inputs: readonly Input[]) => void,
  maxLength = 12,
): void {
  const inputs = fc.array(input, { maxLength });
  const of = (all: readonly Input[]): State => {
    const state = empty();
    for (const one of all) state.add(one);
    return state;
  };
  const merge = (a: State, b: State): State => {
    const state = a.clone();
    state.merge(b);
    return state;
  };

  test(`${name}: merging is associative`, () =>
    fc.assert(
      fc.property(inputs, inputs, inputs, (one, two, three) => {
        const [a, b, c] = [of(one), of(two), of(three)];
        assertSame(merge(merge(a, b), c), merge(a, merge(b, c)), [...one, ...two, ...three]);
      }),
    ));

  test(`${name}: merging does not depend on arrival order`, () =>
    fc.assert(
      fc.property(inputs, inputs, (one, two) => {
        const [a, b] = [of(one), of(two)];
        assertSame(merge(a, b), merge(b, a), [...one, ...two]);
      }),
    ));

  test(`${name}: the empty state adds nothing on either side`, () =>
    fc.assert(
      fc.property(inputs, (one) => {
        assertSame(merge(empty(), of(one)), of(one), one);
        assertSame(merge(of(one), empty()), of(one), one);
      }),
    ));

  test(`${name}: any split of the inputs gives the state of the whole`, () =>
    fc.assert(
      fc.property(fc.array(input, { maxLength: 3 * maxLength }), fc.nat(), (all, at) => {
        const cut = at % (all.length + 1);
        assertSame(merge(of(all.slice(0, cut)), of(all.slice(cut))), of(all), all);
      }),
    ));

  test(`${name}: parts of one input each give the state of the whole`, () =>
    fc.assert(
      fc.property(inputs, (all) => {
        const parts = all.map((one) => of([one]));
        assertSame(parts.reduce(merge, empty()), of(all), all);
      }),
    ));

  test(`${name}: the order of the inputs does not matter`, () =>
    fc.assert(
      fc.property(inputs, fc.infiniteStream(fc.nat()), (all, dice) => {
        assertSame(of(shuffled(all, dice)), of(all), all);
      }),
    ));

  test(`${name}: a merged state takes in further inputs and its source does not notice`, () =>
    fc.assert(
      fc.property(inputs, inputs, inputs, (one, two, more) => {
        const [a, b] = [of(one), of(two)];
        const copy = a.clone();
        copy.merge(b);
        for (const input of more) copy.add(input);
        assertSame(copy, of([...one, ...two, ...more]), [...one, ...two, ...more]);
        assertSame(a, of(one), one);
        assertSame(b, of(two), two);
        for (const input of more) b.add(input);
        assertSame(copy, of([...one, ...two, ...more]), [...one, ...two, ...more]);
      }),
    ));

  test(`${name}: a state merged into itself counts everything twice`, () =>
    fc.assert(
      fc.property(inputs, (all) => {
        const state = of(all);
        state.merge(state);
        assertSame(state, of([...all, ...all]), all);
      }),
    ));
}

/** Fisher and Yates's shuffle; `dice` yields whole numbers. */
export function shuffled<Item>(items: readonly Item[], dice: Iterator<number>): Item[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = (dice.next().value as number) % (i + 1);
    [result[i], result[j]] = [result[j] as Item, result[i] as Item];
  }
  return result;
}
