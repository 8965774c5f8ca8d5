/**
 * How events of the shop reach Kafka: most at once, some late, some twice, some broken, as clients on
 * real networks send them. The shares are of the events that happen; a repeated record comes on top.
 */
import { type Random, randomIndex, randomMagnitude } from "../random.ts";
import type { Shop } from "./shop.ts";
import { type ShopEvent, shopEventJson } from "./shop-event.ts";

/** Delivered 6 s to 15 min after they happened: beyond the watermark's delay of 5 s. */
export const LATE_SHARE = 0.02;
/** Delivered once more, the same to the byte, up to a minute later. */
export const REPEATED_SHARE = 0.01;
/** Damaged so that they can never be read. */
export const BROKEN_SHARE = 0.002;

const LATE_MILLIS = [6_000, 900_000] as const;
const REPEAT_MILLIS = [50, 60_000] as const;

export type Fate = "prompt" | "late" | "repeated" | "broken";

export interface ShopRecord {
  /** The customer's id, the record's key. */
  readonly key: string;
  readonly value: string;
  readonly fate: Fate;
  /** When it happened, in ms since the epoch. */
  readonly timeMillis: number;
}

export interface Delivery {
  /** The record that arrives at this moment, in ms since the epoch. Moments must not go back. */
  nextRecord(nowMillis: number): ShopRecord;
}

export function createDelivery(shop: Shop, random: Random): Delivery {
  const underWay = new Schedule();
  return {
    nextRecord(nowMillis) {
      const arrived = underWay.takeDue(nowMillis);
      if (arrived !== undefined) return arrived;
      for (;;) {
        const event = shop.nextEvent(nowMillis);
        if (random.next() < BROKEN_SHARE) return recordOf(event, damage(event, random), "broken");
        const record = recordOf(event, shopEventJson(event), "prompt");
        if (random.next() < REPEATED_SHARE) {
          const dueMillis = nowMillis + randomMagnitude(random, ...REPEAT_MILLIS);
          underWay.add(dueMillis, { ...record, fate: "repeated" });
        }
        if (random.next() >= LATE_SHARE) return record;
        const dueMillis = nowMillis + randomMagnitude(random, ...LATE_MILLIS);
        underWay.add(dueMillis, { ...record, fate: "late" });
      }
    },
  };
}

function recordOf(event: ShopEvent, value: string, fate: Fate): ShopRecord {
  return { key: event.userId, value, fate, timeMillis: event.timeMillis };
}

/** Each way has a reason code of its own among the dead letters. */
const DAMAGES: readonly ((json: string) => string)[] = [
  (json) => json.slice(0, json.length >> 1),
  (json) => `[${json}]`,
  (json) => json.replace(/"user_id":"[^"]*",/, ""),
  (json) => json.replace(/("event_time":"\S{10})T/, "$1 "),
  (json) => json.replace(/"event_type":"/, '"event_type":"Shop/'),
  (json) => json.replace(/}$/, ',"duration":-1}').replace(/"duration":\d[\d.]*,/, ""),
  (json) => json.replace(/"region":"/, '"region":"\\u0000'),
  (json) => json.replace(/"event_id":"/, '"event_id":"x'),
];

function damage(event: ShopEvent, random: Random): string {
  const way = DAMAGES[randomIndex(random, DAMAGES.length)] as (json: string) => string;
  return way(shopEventJson(event));
}

/** Records on their way: a binary heap, the one that is due first at its top. */
class Schedule {
  readonly #heap: { readonly dueMillis: number; readonly record: ShopRecord }[] = [];

  add(dueMillis: number, record: ShopRecord): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push({ dueMillis, record });
    while (at > 0 && this.#due((at - 1) >> 1) > dueMillis) {
      this.#swap(at, (at - 1) >> 1);
      at = (at - 1) >> 1;
    }
  }

  takeDue(nowMillis: number): ShopRecord | undefined {
    const top = this.#heap[0];
    if (top === undefined || top.dueMillis > nowMillis) return undefined;
    this.#swap(0, this.#heap.length - 1);
    this.#heap.pop();
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const child = this.#due(left + 1) < this.#due(left) ? left + 1 : left;
      if (this.#due(child) >= this.#due(at)) return top.record;
      this.#swap(at, child);
      at = child;
    }
  }

  #due(at: number): number {
    return this.#heap[at]?.dueMillis ?? Number.POSITIVE_INFINITY;
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#heap[a], this.#heap[b]];
    if (one === undefined || other === undefined) return;
    this.#heap[a] = other;
    this.#heap[b] = one;
  }
}
