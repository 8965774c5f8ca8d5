/**
 * The simulated shop in real time: produces a steady number of events a second until it is stopped.
 *
 * What Kafka does not take is counted as failed and not sent again (it may be stored nonetheless);
 * while too much waits for Kafka no new events are made, so that an outage ends in no flood. Neither
 * stops the traffic.
 */
import { randomInt } from "node:crypto";
import type { Producer } from "@headrace/kafka";
import { type Clock, invalid, type Logger, silentLogger } from "@headrace/kernel";
import { createRandom } from "./random.ts";
import { createDelivery, type Delivery } from "./shop/delivery.ts";
import { createShop } from "./shop/shop.ts";

export interface TrafficOptions {
  /** Stays the caller's: `stop` does not close it. */
  readonly producer: Pick<Producer, "send">;
  readonly topic: string;
  /** Above 0; fractions are fine. */
  readonly eventsPerSecond: number;
  /** Event times are taken from it. */
  readonly clock: Clock;
  /** Of customers' choices and of the faults. Default: another one at each start. */
  readonly seed?: number;
  /** How many customers there are. Default: `customersFor` the rate. */
  readonly users?: number;
  readonly log?: Logger;
}

export interface TrafficTotals {
  /** Records that Kafka has acknowledged. */
  readonly sent: number;
  /** Records of calls that failed; each may or may not be stored. */
  readonly failed: number;
}

export interface Traffic {
  readonly seed: number;
  totals(): TrafficTotals;
  /** Makes no more events, waits for what is being sent, and says what was sent in all. */
  stop(): Promise<TrafficTotals>;
}

/** Ten batches a second look steady; each one costs Kafka, the poller and PostgreSQL a turn. */
const LEAST_PAUSE_MILLIS = 100;
/** Events this far behind are left out: after a sleep of the machine nobody wants the night's at once. */
const MOST_BEHIND_SECONDS = 1;
/** This much may wait for Kafka: a broker's restart passes unseen. */
const MOST_WAITING_SECONDS = 5;
const LEAST_WAITING_RECORDS = 1_000;
const LARGEST_SEED = 2 ** 32;

/** 40 for each event per second, at least 2,000. */
export function customersFor(eventsPerSecond: number): number {
  return Math.max(2_000, Math.ceil(40 * eventsPerSecond));
}

/** Throws `traffic.rate` where the rate is not above 0. */
export function startTraffic(options: TrafficOptions): Traffic {
  if (!(options.eventsPerSecond > 0 && options.eventsPerSecond < Number.POSITIVE_INFINITY))
    throw invalid(
      "traffic.rate",
      `events per second must be above 0, not ${options.eventsPerSecond}`,
    );
  const run = new TrafficRun(options, options.seed ?? randomInt(LARGEST_SEED));
  run.tick();
  return run;
}

class TrafficRun implements Traffic {
  readonly seed: number;
  readonly #options: TrafficOptions;
  readonly #log: Logger;
  readonly #delivery: Delivery;
  readonly #mostWaiting: number;
  readonly #sending = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Event number `#made` (from 0) is due `#made / rate` seconds after this, by `performance.now()`. */
  #startedAt = performance.now();
  #made = 0;
  #lastMillis = 0;
  #waiting = 0;
  #sent = 0;
  #failed = 0;
  #isFailing = false;

  constructor(options: TrafficOptions, seed: number) {
    const { eventsPerSecond, users = customersFor(eventsPerSecond) } = options;
    const random = createRandom(seed);
    this.seed = seed;
    this.#options = options;
    this.#log = options.log ?? silentLogger;
    this.#delivery = createDelivery(
      createShop({ random, customers: users, eventsPerSecond }),
      random,
    );
    this.#mostWaiting = Math.max(LEAST_WAITING_RECORDS, MOST_WAITING_SECONDS * eventsPerSecond);
  }

  totals(): TrafficTotals {
    return { sent: this.#sent, failed: this.#failed };
  }

  async stop(): Promise<TrafficTotals> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#sending);
    return this.totals();
  }

  tick(): void {
    const rate = this.#options.eventsPerSecond;
    const now = performance.now();
    const due = Math.floor(((now - this.#startedAt) / 1000) * rate) + 1;
    const behind = due - this.#made;
    if (behind > Math.max(1, rate * MOST_BEHIND_SECONDS) || this.#waiting >= this.#mostWaiting) {
      this.#startedAt = now;
      this.#made = 0;
    } else if (behind > 0) {
      this.#made += behind;
      this.#send(behind);
    }
    const nextAt = this.#startedAt + (this.#made / rate) * 1000;
    const pause = Math.max(LEAST_PAUSE_MILLIS, nextAt - performance.now());
    if (!this.#stopped) this.#timer = setTimeout(() => this.tick(), pause);
  }

  #send(count: number): void {
    const { clock, producer, topic } = this.#options;
    // A clock that was set back would make the shop's moments go back.
    this.#lastMillis = Math.max(this.#lastMillis, Math.floor(clock.now()));
    const records = Array.from({ length: count }, () => {
      const { key, value } = this.#delivery.nextRecord(this.#lastMillis);
      return { topic, key, value };
    });
    this.#waiting += count;
    const sending = producer.send(records).then(
      () => this.#succeeded(count),
      (error: unknown) => this.#fail(count, error),
    );
    this.#sending.add(sending);
    void sending.finally(() => {
      this.#waiting -= count;
      this.#sending.delete(sending);
    });
  }

  #succeeded(count: number): void {
    this.#sent += count;
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#log.info("Kafka takes the simulated shop's events again", { ...this.totals() });
  }

  /** Said once an outage, not once a batch. */
  #fail(count: number, error: unknown): void {
    this.#failed += count;
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#log.warn("Kafka does not take the simulated shop's events", { error });
  }
}
