/**
 * A mergeable state: it takes in inputs one by one, and two states can be joined into the state of
 * all their inputs. Laws, checked for every member by `test/windows/laws.ts`:
 *
 *   merge(a, merge(b, c)) = merge(merge(a, b), c)      the grouping does not matter
 *   merge(a, b)           = merge(b, a)                the arrival order does not matter
 *   merge(empty, a)       = a                          an idle window adds nothing
 *   any split of the inputs, merged again, is the state of the whole
 *
 * States change in place: a batch adds thousands of inputs, and a new object for each would cost
 * more than the arithmetic. A state holds what its figures are made of, never a finished figure: an
 * average of averages is wrong, and a variance that already divided by n - 1 cannot be joined.
 */
export interface Mergeable<Input, Self> {
  add(input: Input): void;
  /** Takes in `other`, which stays as it is and shares nothing with this state afterwards. */
  merge(other: Self): void;
  /** An equal state that shares nothing with this one. */
  clone(): Self;
}
