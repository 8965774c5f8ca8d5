/**
 * What a runtime has to end, in the reverse order of its start, within a bound. What does not end in
 * time is left behind: the servers that it depends on are ended all the same.
 */
import type { Logger } from "@headrace/kernel";
import { settlesWithin } from "./child.ts";

/** The one step that has its own bound. */
export const SERVERS = "servers";
const SERVERS_MILLIS = 5_500;
/** All others together: with the servers it stays below 10 s. */
const OTHERS_MILLIS = 3_500;
/** A step that comes after the bound still gets the time to do what it can at once. */
const LEAST_MILLIS = 50;

interface Step {
  readonly name: string;
  readonly end: () => Promise<void>;
}

export class Ending {
  readonly #steps: Step[] = [];

  add(name: string, end: () => Promise<void>): void {
    this.#steps.unshift({ name, end });
  }

  /** Never rejects: a step that fails is logged, and the next one is ended. */
  async run(log: Logger): Promise<void> {
    const startedAt = performance.now();
    let othersLeft = OTHERS_MILLIS;
    for (const { name, end } of this.#steps.splice(0)) {
      const stepAt = performance.now();
      const bound = name === SERVERS ? SERVERS_MILLIS : Math.max(LEAST_MILLIS, othersLeft);
      const ended = end().catch((error: unknown) => log.warn("ending failed", { name, error }));
      if (!(await settlesWithin(ended, bound))) log.warn("ending was not waited for", { name });
      const millis = performance.now() - stepAt;
      if (name !== SERVERS) othersLeft -= millis;
      log.debug("ended", { name, millis: Math.round(millis) });
      if (name === SERVERS)
        log.info("ended", { millis: Math.round(performance.now() - startedAt) });
    }
  }
}
