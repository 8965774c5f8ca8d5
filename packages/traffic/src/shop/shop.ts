/**
 * The simulated shop: visits side by side, one of which makes the next event whenever one is asked
 * for. Pure: chance and time are handed in, and the same ones give the same events.
 *
 * The rate is the caller's; the shop keeps as many visits open as give each some seconds between two
 * clicks at that rate.
 */
import { type Random, randomIndex } from "../random.ts";
import { customer, randomVisitor } from "./customer.ts";
import { Session } from "./session.ts";
import type { ShopEvent } from "./shop-event.ts";

export interface ShopOptions {
  readonly random: Random;
  /** How many customers there are; at least 1. */
  readonly customers: number;
  /** How often `nextEvent` will be called, about. */
  readonly eventsPerSecond: number;
}

export interface Shop {
  /** What happens at this moment, in ms since the epoch. Moments must not go back. */
  nextEvent(nowMillis: number): ShopEvent;
}

/** On average, once there are enough visits. */
const SECONDS_BETWEEN_CLICKS = 12;
/** While visits are still too few, one of so many events opens another. */
const EVENTS_PER_OPENING = 4;
/** A customer with two visits at once is somebody with two devices: rare, hence a few tries. */
const TRIES_FOR_AN_ABSENT_CUSTOMER = 4;

export function createShop({ random, customers, eventsPerSecond }: ShopOptions): Shop {
  const wanted = Math.max(2, Math.round(eventsPerSecond * SECONDS_BETWEEN_CLICKS));
  const mostSessions = Math.max(1, Math.min(wanted, Math.ceil(customers / 2)));
  const sessions: Session[] = [];
  const present = new Set<number>();

  const open = (): void => {
    let number = randomVisitor(random, customers);
    for (let tries = 1; tries < TRIES_FOR_AN_ABSENT_CUSTOMER && present.has(number); tries++)
      number = randomVisitor(random, customers);
    present.add(number);
    sessions.push(new Session(number, customer(number), random));
  };

  const close = (index: number): void => {
    const last = sessions.pop() as Session;
    const gone = sessions[index] ?? last;
    if (gone !== last) sessions[index] = last;
    present.delete(gone.customerNumber);
  };

  return {
    nextEvent(nowMillis) {
      for (;;) {
        const tooFew = sessions.length < mostSessions;
        if (sessions.length === 0 || (tooFew && randomIndex(random, EVENTS_PER_OPENING) === 0))
          open();
        const index = randomIndex(random, sessions.length);
        const event = (sessions[index] as Session).next(nowMillis);
        if (event !== undefined) return event;
        close(index);
        open();
      }
    },
  };
}
