/**
 * Events of the simulated shop over a stretch of event time, as fast as they can be taken: for benches
 * and tests. The same options give the same events.
 */
import { invalid } from "@headrace/kernel";
import { createRandom } from "./random.ts";
import { createDelivery } from "./shop/delivery.ts";
import { createShop } from "./shop/shop.ts";
import { shopEventJson } from "./shop/shop-event.ts";

export interface GenerateOptions {
  readonly seed: number;
  /** How many events. */
  readonly count: number;
  /** How many customers there are; at least 1. */
  readonly users: number;
  /** The stretch [from, to) that the events are spread over evenly, in ms since the epoch. */
  readonly fromMillis: number;
  readonly toMillis: number;
  /**
   * With late, repeated and broken records in the shares that `shop/delivery.ts` states, in the order
   * of arrival; those that would arrive after `toMillis` are left out. Default: all prompt and sound.
   */
  readonly faults?: boolean;
}

/** A record to produce: key and value fit `OutgoingRecord`. */
export interface GeneratedEvent {
  /** The user id. */
  readonly key: string;
  /** The event's JSON. */
  readonly value: string;
  /** Its event time. */
  readonly timeMillis: number;
}

/** Throws `traffic.options` where the options make no sense. */
export function* generateEvents(options: GenerateOptions): Generator<GeneratedEvent, void, void> {
  const { seed, count, users, fromMillis, toMillis } = options;
  if (!(users >= 1 && count >= 0 && toMillis > fromMillis))
    throw invalid(
      "traffic.options",
      "users must be 1 or more, count 0 or more, toMillis after fromMillis",
    );
  const random = createRandom(seed);
  const stepMillis = (toMillis - fromMillis) / count;
  const shop = createShop({ random, customers: users, eventsPerSecond: 1000 / stepMillis });
  const delivery = options.faults === true ? createDelivery(shop, random) : undefined;
  for (let n = 0; n < count; n++) {
    const nowMillis = Math.floor(fromMillis + (n + random.next()) * stepMillis);
    if (delivery !== undefined) {
      yield delivery.nextRecord(nowMillis);
      continue;
    }
    const event = shop.nextEvent(nowMillis);
    yield { key: event.userId, value: shopEventJson(event), timeMillis: event.timeMillis };
  }
}
