/**
 * Commits how far each partition is done, one request at a time: what finishes while one is under way
 * goes with the next. The topic's id is kept with each offset, so that a start after the topic was
 * made anew is noticed although the offset would fit.
 */
import type { Fetcher } from "@headrace/kafka";
import type { Logger } from "@headrace/kernel";
import type { Backlog } from "./backlog.ts";

/** After a failed commit; the next one holds all that this one did. */
const RETRY_MILLIS = 1_000;

export class Committer {
  readonly #fetcher: Fetcher;
  readonly #group: string;
  readonly #backlog: Backlog;
  readonly #logger: Logger;
  /** By partition, as the broker has it: offset and topic id. */
  readonly #committed = new Map<number, string>();
  #running: Promise<void> | undefined;
  #again = false;
  #inTrouble = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(fetcher: Fetcher, group: string, backlog: Backlog, logger: Logger) {
    this.#fetcher = fetcher;
    this.#group = group;
    this.#backlog = backlog;
    this.#logger = logger;
  }

  /** Something may have been finished. Returns at once. */
  nudge(): void {
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Commits what is done by now, and then no more; false where that did not work. */
  async close(): Promise<boolean> {
    clearTimeout(this.#timer);
    await this.#running;
    clearTimeout(this.#timer);
    return this.#commit();
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      if (await this.#commit()) continue;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.nudge(), RETRY_MILLIS);
      return;
    }
  }

  async #commit(): Promise<boolean> {
    const offsets = this.#backlog.queues
      .map(({ topic, partition, unfinished: offset, topicId: metadata }) => ({
        topic,
        partition,
        offset,
        metadata,
      }))
      .filter((one) => this.#committed.get(one.partition) !== `${one.offset} ${one.metadata}`);
    if (offsets.length === 0) return true;
    try {
      await this.#fetcher.commit(this.#group, offsets);
    } catch (error) {
      if (!this.#inTrouble)
        this.#logger.warn("offsets cannot be committed; records may come again", { error });
      this.#inTrouble = true;
      return false;
    }
    if (this.#inTrouble) this.#logger.info("offsets are committed again");
    this.#inTrouble = false;
    for (const { partition, offset, metadata } of offsets)
      this.#committed.set(partition, `${offset} ${metadata}`);
    return true;
  }
}
