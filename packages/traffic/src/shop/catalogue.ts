/**
 * What the simulated shop sells. The same in every run whatever its seed, so that products keep their
 * category and their price from one start to the next.
 */
import { createRandom, type Random, randomIndex, randomMagnitude } from "../random.ts";

export interface Product {
  readonly id: string;
  readonly name: string;
  readonly category: string;
  readonly priceCents: number;
}

interface Shelf {
  readonly category: string;
  /** Prices spread between these, in whole units of money less a cent. */
  readonly cheapest: number;
  readonly dearest: number;
  readonly things: readonly string[];
}

const SHELVES: readonly Shelf[] = [
  {
    category: "shoes",
    cheapest: 25,
    dearest: 180,
    things: ["Sneaker", "Boot", "Sandal", "Loafer"],
  },
  {
    category: "clothing",
    cheapest: 10,
    dearest: 150,
    things: ["Shirt", "Jacket", "Jeans", "Dress"],
  },
  { category: "electronics", cheapest: 20, dearest: 1200, things: ["Phone", "Speaker", "Tablet"] },
  { category: "home", cheapest: 8, dearest: 400, things: ["Lamp", "Rug", "Chair", "Shelf"] },
  { category: "beauty", cheapest: 4, dearest: 90, things: ["Cream", "Perfume", "Soap"] },
  { category: "sports", cheapest: 12, dearest: 300, things: ["Ball", "Racket", "Mat", "Tent"] },
  { category: "toys", cheapest: 5, dearest: 120, things: ["Puzzle", "Robot", "Kite"] },
  { category: "books", cheapest: 6, dearest: 60, things: ["Novel", "Atlas", "Cookbook"] },
];

const MAKES = ["Alder", "Birch", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Heron"] as const;
const PRODUCTS_PER_CATEGORY = 50;
const CATALOGUE_SEED = 1_870;

export const CATEGORIES: readonly string[] = SHELVES.map((shelf) => shelf.category);

/** By category, in the order of `CATEGORIES`; those in front are asked for most. */
const SHELVED: readonly (readonly Product[])[] = stock();

export const CATALOGUE: readonly Product[] = SHELVED.flat();

/** A product of the category with this index; popular ones come more often. */
export function randomProduct(random: Random, category: number): Product {
  const products = SHELVED[category] as readonly Product[];
  return products[Math.floor(products.length * random.next() ** 2)] as Product;
}

function stock(): readonly (readonly Product[])[] {
  const random = createRandom(CATALOGUE_SEED);
  return SHELVES.map(({ category, cheapest, dearest, things }, shelf) =>
    Array.from({ length: PRODUCTS_PER_CATEGORY }, (_, n) => {
      const make = MAKES[randomIndex(random, MAKES.length)];
      const thing = things[randomIndex(random, things.length)];
      const number = shelf * PRODUCTS_PER_CATEGORY + n + 1;
      return {
        id: `p-${String(number).padStart(4, "0")}`,
        name: `${make} ${thing} ${number}`,
        category,
        priceCents: Math.round(randomMagnitude(random, cheapest, dearest)) * 100 - 1,
      };
    }),
  );
}
