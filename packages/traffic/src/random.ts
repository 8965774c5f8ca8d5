/**
 * Chance that can be repeated: the same seed gives the same numbers, on every machine.
 *
 * Chris Doty-Humphrey's sfc32, seeded through splitmix32. Good enough for a simulation, of no use for
 * secrets.
 */
export interface Random {
  /** In [0, 1), in steps of 2^-32. */
  next(): number;
  /** An unsigned integer of 32 bits. */
  bits(): number;
}

/** `seed` is any number; its lower 32 bits count. */
export function createRandom(seed: number): Random {
  const split = splitmix32(seed);
  let a = split();
  let b = split();
  let c = split();
  let counter = 1;
  const bits = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  // The first numbers of neighbouring seeds are alike.
  for (let round = 0; round < 12; round++) bits();
  return { bits, next: () => bits() / 2 ** 32 };
}

/** An integer in [0, count). */
export function randomIndex(random: Random, count: number): number {
  return Math.floor(random.next() * count);
}

/** In [low, high), each order of magnitude as likely as the next; `low` above 0. */
export function randomMagnitude(random: Random, low: number, high: number): number {
  return low * (high / low) ** random.next();
}

/** Choices with weights of any sum. */
export type Weighted<Choice> = readonly (readonly [choice: Choice, weight: number])[];

export function randomChoice<Choice>(random: Random, choices: Weighted<Choice>): Choice {
  let left = random.next() * choices.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [choice, weight] of choices) {
    left -= weight;
    if (left < 0) return choice;
  }
  // Rounding may leave a trace of the sum; it belongs to the last.
  return (choices.at(-1) as readonly [Choice, number])[0];
}

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  };
}
