/** Ascending arrays of numbers, which the small sets of this package are kept in. */

/** The first index whose element is at least `key`; the array's length if none is. */
export function firstNotBelow(ascending: readonly number[], key: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] as number) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
