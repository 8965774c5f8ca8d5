/**
 * Who comes to the simulated shop. A customer is made from a number alone, so that habits stay the
 * same between sessions, runs and seeds, and a million customers take no memory.
 */
import { createRandom, type Random, randomChoice, randomIndex, type Weighted } from "../random.ts";
import { CATEGORIES } from "./catalogue.ts";

export type Device = "mobile" | "desktop" | "tablet";

export interface Customer {
  readonly id: string;
  readonly region: string;
  readonly device: Device;
  /** Where visits come from. */
  readonly channel: string;
  /** Indexes in `CATEGORIES`, the dearest first. */
  readonly favourites: readonly [number, number];
  /** 0.4 to 1.6: how much likelier than the average to put things in the cart and to pay. */
  readonly eagerness: number;
  /** Logs in at the beginning of a visit. */
  readonly logsInFirst: boolean;
  /** What the shop calls those that are as eager. */
  readonly segment: string;
}

export const REGIONS: Weighted<string> = [
  ["eu-west", 30],
  ["eu-north", 12],
  ["us-east", 26],
  ["us-west", 14],
  ["asia-east", 13],
  ["latam", 5],
];

const DEVICES: Weighted<Device> = [
  ["mobile", 58],
  ["desktop", 36],
  ["tablet", 6],
];

const CHANNELS: Weighted<string> = [
  ["direct", 30],
  ["search", 28],
  ["email", 14],
  ["social", 18],
  ["ads", 10],
];

/** Keeps customers from sharing their numbers with the run, which may have a small seed too. */
const CUSTOMER_SEED = 0x51ed_270b;

export function customer(number: number): Customer {
  const random = createRandom(CUSTOMER_SEED ^ number);
  const first = randomIndex(random, CATEGORIES.length);
  const second = (first + 1 + randomIndex(random, CATEGORIES.length - 1)) % CATEGORIES.length;
  const habits = {
    id: `u-${String(number).padStart(6, "0")}`,
    region: randomChoice(random, REGIONS),
    device: randomChoice(random, DEVICES),
    channel: randomChoice(random, CHANNELS),
    favourites: [first, second] as const,
    eagerness: 0.4 + 1.2 * random.next(),
    logsInFirst: random.next() < 0.35,
  };
  return { ...habits, segment: segmentOf(habits.eagerness) };
}

function segmentOf(eagerness: number): string {
  if (eagerness > 1.35) return "loyal";
  return eagerness > 0.7 ? "regular" : "browsing";
}

/** The number of a customer out of `customers`: some come every day, most now and then. */
export function randomVisitor(random: Random, customers: number): number {
  return Math.floor(customers * random.next() ** 2);
}

/** The index of a category that this customer looks at. */
export function randomCategory(random: Random, { favourites }: Customer): number {
  const luck = random.next();
  if (luck < 0.55) return favourites[0];
  return luck < 0.8 ? favourites[1] : randomIndex(random, CATEGORIES.length);
}
