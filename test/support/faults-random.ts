/** Chance with a seed: the same seed makes the same choices, in the order in which they are asked for. */

export class Random {
  #state: number;

  constructor(seed: number) {
    // Seeds are small and next to each other; the golden ratio spreads them.
    this.#state = (Math.imul(seed, 0x9e3779b9) ^ 0x85ebca6b) >>> 0;
  }

  /** In [0, 1). SplitMix32. */
  fraction(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.whole(0, items.length - 1)];
    if (item === undefined && items.length === 0) throw new Error("nothing to pick from");
    return item as Item;
  }

  /** One of the keys, each as likely as its weight. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    return (entries.at(-1) as [Name, number])[0];
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    const left = [...items];
    const out: Item[] = [];
    while (left.length > 0) out.push(...left.splice(this.whole(0, left.length - 1), 1));
    return out;
  }

  /** 128 random bits as a UUID. */
  uuid(): string {
    const hex = Array.from({ length: 8 }, () =>
      this.whole(0, 0xffff).toString(16).padStart(4, "0"),
    );
    const [a, b, c, d, e, f, g, h] = hex;
    return `${a}${b}-${c}-4${d?.slice(1)}-8${e?.slice(1)}-${f}${g}${h}`;
  }

  /** Another sequence that depends on this one's seed alone, and takes nothing from it. */
  static of(seed: number, purpose: number): Random {
    return new Random(Math.imul(seed, 31) + purpose);
  }
}
