/**
 * Keeps the partitions' queues filled: where each begins (the group's committed offset, else the
 * log's begin), partitions that a topic gained, and logs that are not what they were. While a
 * function works on one batch, the next ones are fetched, up to a bound.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { FetchedPartition, Fetcher } from "@headrace/kafka";
import type { Logger } from "@headrace/kernel";
import type { Backlog } from "./backlog.ts";
import { PartitionQueue } from "./partition-queue.ts";

export interface IntakeSetup {
  readonly fetcher: Fetcher;
  readonly backlog: Backlog;
  readonly topic: string;
  readonly group: string;
  readonly logger: Logger;
  /** How often the topic is looked at for new partitions. */
  readonly topicCheckMillis: number;
  /** Called whenever records came or a partition's place changed. */
  readonly onChange: () => void;
}

/** A partition with so much waiting (as JSON) is not fetched: 0.3 s of the fastest function. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const MAX_FETCH_BYTES = 8 * 1024 * 1024;
/** So that one full partition leaves room for the others; larger than a full batch of small records. */
const MAX_PARTITION_FETCH_BYTES = 4 * 1024 * 1024;
const QUIET_WAIT_MILLIS = 500;
/** While a full partition is left out, so that it is not left out for longer than needed. */
const CROWDED_WAIT_MILLIS = 50;
const PAUSE_MILLIS = 500;
const PAUSE_WITHOUT_MILLIS = 50;
const QUIET_STEPS_WITHOUT = 40;

export class Intake {
  readonly #setup: IntakeSetup;
  #stopped = false;
  #topicSeenAt = Number.NEGATIVE_INFINITY;
  #trouble: string | undefined;
  #roomMade: (() => void) | undefined;
  #turn = 0;
  #stepsWithout = 0;

  constructor(setup: IntakeSetup) {
    this.#setup = setup;
  }

  /** Runs until `stop`; every failure is logged once and tried again. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#step();
        this.#recovered();
      } catch (error) {
        if (this.#stopped) return;
        this.#troubled(error);
        await sleep(PAUSE_MILLIS);
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    this.roomMade();
  }

  /** Records were taken from the queues. */
  roomMade(): void {
    this.#roomMade?.();
    this.#roomMade = undefined;
  }

  async #step(): Promise<void> {
    const { backlog, fetcher, topicCheckMillis } = this.#setup;
    if (performance.now() - this.#topicSeenAt >= topicCheckMillis) await this.#findPartitions();
    const all = backlog.queues;
    const wanted = all.filter((queue) => queue.bytes < MAX_WAITING_BYTES);
    if (wanted.length === 0) return this.#untilRoom();
    const first = this.#turn++ % wanted.length;
    const positions = [...wanted.slice(first), ...wanted.slice(0, first)].map((queue) => ({
      topic: queue.topic,
      partition: queue.partition,
      offset: queue.fetchOffset,
      topicId: queue.topicId,
    }));
    const fetched = await fetcher.fetch(positions, {
      maxWaitMillis: wanted.length < all.length ? CROWDED_WAIT_MILLIS : QUIET_WAIT_MILLIS,
      maxBytes: MAX_FETCH_BYTES,
      maxBytesPerPartition: MAX_PARTITION_FETCH_BYTES,
    });
    if (this.#stopped) return;
    for (const one of fetched) this.#receive(one);
    this.#setup.onChange();
    if (fetched.some(({ state }) => state === "topic_unknown" || state === "unavailable"))
      await this.#notThere();
    else this.#stepsWithout = 0;
  }

  /** Common for a moment after a topic was made or a leader changed; for long, something is wrong. */
  async #notThere(): Promise<void> {
    this.#stepsWithout++;
    if (this.#stepsWithout > QUIET_STEPS_WITHOUT)
      throw new Error(`topic "${this.#setup.topic}" or one of its partitions is not there`);
    await sleep(PAUSE_WITHOUT_MILLIS);
  }

  #receive(fetched: FetchedPartition): void {
    const { backlog, logger } = this.#setup;
    const queue = backlog.get(fetched.partition);
    if (queue === undefined) return;
    if (fetched.state === "fetched")
      queue.add(fetched.records, fetched.nextOffset, performance.now());
    if (fetched.state !== "out_of_range" && fetched.state !== "recreated") return;
    const { partition, topic, begin, end, topicId } = fetched;
    const { fetchOffset: offset } = queue;
    const place = { topic, partition, offset, begin, end };
    if (fetched.state === "recreated")
      logger.warn("the topic was made anew: its partition is read from the beginning", place);
    else logger.warn("the log no longer holds the next record: reading from its beginning", place);
    backlog.restart(queue, topicId, begin);
  }

  /** Partitions that are not read yet begin where the group left off, else where the log begins. */
  async #findPartitions(): Promise<void> {
    const { backlog, fetcher, topic, group, logger } = this.#setup;
    const info = await fetcher.topic(topic);
    if (info === undefined) throw new Error(`there is no topic "${topic}"`);
    for (const queue of backlog.queues)
      if (queue.partition >= info.partitions) backlog.remove(queue);
    const known = backlog.queues.length;
    if (info.partitions > known) {
      const [committed, ranges] = await Promise.all([
        fetcher.committed(group, topic),
        fetcher.offsets([topic]),
      ]);
      for (const { partition, begin } of ranges) {
        if (backlog.get(partition) !== undefined) continue;
        const left = committed.find((one) => one.partition === partition);
        const isOther = left?.metadata !== undefined && left.metadata !== info.id;
        if (isOther)
          logger.warn("the topic was made anew since the last run", { topic, partition });
        const offset = left === undefined || isOther ? begin : left.offset;
        backlog.add(new PartitionQueue(topic, partition, info.id, offset));
      }
      if (known > 0) logger.info("the topic has more partitions", { topic, ...info });
    }
    this.#topicSeenAt = performance.now();
  }

  async #untilRoom(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#roomMade = resolve;
    });
  }

  #troubled(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (this.#trouble === undefined)
      this.#setup.logger.warn("records cannot be fetched", { error });
    this.#trouble = message;
    this.#topicSeenAt = Number.NEGATIVE_INFINITY;
  }

  #recovered(): void {
    if (this.#trouble !== undefined) this.#setup.logger.info("records are fetched again");
    this.#trouble = undefined;
  }
}
