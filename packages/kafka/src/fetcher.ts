/**
 * Reads records from given positions, without being a member of a group, and keeps a group's offsets
 * the way Lambda's pollers do. Only committed records are seen; what holds none (the ends of
 * transactions, compacted stretches) is stepped over: `nextOffset` moves on even when no record comes.
 */
import { Cluster, type TopicInfo } from "./cluster.ts";
import type { KafkaConfig } from "./config.ts";
import { decodeBatches } from "./decode-batch.ts";
import { accept, BrokerRefusal } from "./errors.ts";
import { fetchApi, type PartitionAnswer } from "./fetch-request.ts";
import { commitOffsets, committedOffsets, type GroupOffset } from "./group-offsets.ts";
import { type PartitionOffsets, readOffsets } from "./offsets.ts";
import type { KafkaRecord } from "./record.ts";

export interface FetchPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The id that the topic had when `offset` was learned; another one now answers "recreated". */
  readonly topicId?: string;
}

export interface FetchLimits {
  /** How long the broker may wait for a first record; at most 5 s is used. */
  readonly maxWaitMillis: number;
  /** A batch larger than this still comes whole, so that reading never stands still. */
  readonly maxBytes: number;
  /** Keeps one full partition from taking all of `maxBytes`. Default `maxBytes`. */
  readonly maxBytesPerPartition?: number;
}

/**
 * - fetched       `records` (perhaps none) are those in [offset, nextOffset)
 * - out_of_range  the position is outside [begin, end]
 * - recreated     the topic is another one than `topicId`
 * - topic_unknown there is no such topic or partition now
 * - unavailable   nobody leads the partition at the moment: ask again
 */
export type FetchState = "fetched" | "out_of_range" | "recreated" | "topic_unknown" | "unavailable";

export interface FetchedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly state: FetchState;
  /** "" where the topic is unknown. */
  readonly topicId: string;
  readonly records: readonly KafkaRecord[];
  /** Where to go on; the position asked for unless `state` is "fetched". */
  readonly nextOffset: number;
  /** The log's first offset and its end; 0 where `state` is "topic_unknown" or "unavailable". */
  readonly begin: number;
  readonly end: number;
}

export interface Fetcher {
  /**
   * One answer for each position, in their order. Waits for the slowest of the brokers that are asked.
   * Calls of one fetcher stand in line; who reads two things at once takes two fetchers.
   */
  fetch(
    positions: readonly FetchPosition[],
    limits: FetchLimits,
  ): Promise<readonly FetchedPartition[]>;
  /** The topic's id and number of partitions; undefined where there is no such topic now. */
  topic(name: string): Promise<{ readonly id: string; readonly partitions: number } | undefined>;
  /** Partitions without a committed offset are left out. */
  committed(group: string, topic: string): Promise<readonly GroupOffset[]>;
  /** Refused with `kafka.group_in_use` while consumers are members of the group. */
  commit(group: string, offsets: readonly GroupOffset[]): Promise<void>;
  offsets(topics: readonly string[]): Promise<readonly PartitionOffsets[]>;
  close(): Promise<void>;
}

export interface FetcherOptions {
  /** For each call, waiting for a broker that is down included. Default 15 s. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;
/** Under a connection's request timeout, which would take a quiet topic for a dead broker. */
const MAX_FETCH_WAIT_MS = 5_000;
const OFFSET_OUT_OF_RANGE = 1;

export function createFetcher(config: KafkaConfig, options: FetcherOptions = {}): Fetcher {
  return new PartitionFetcher(config, options.timeoutMs ?? TIMEOUT_MS);
}

class PartitionFetcher implements Fetcher {
  /** A waiting fetch holds up what follows on its connection, so commits and questions have their own. */
  readonly #reading: Cluster;
  readonly #asking: Cluster;
  readonly #timeoutMs: number;

  constructor(config: KafkaConfig, timeoutMs: number) {
    this.#reading = new Cluster(config);
    this.#asking = new Cluster(config);
    this.#timeoutMs = timeoutMs;
  }

  fetch(
    positions: readonly FetchPosition[],
    limits: FetchLimits,
  ): Promise<readonly FetchedPartition[]> {
    return this.#reading.attempt("fetching records", this.#timeoutMs, async () => {
      try {
        return await this.#fetchOnce(positions, limits);
      } catch (error) {
        for (const { topic } of positions) this.#reading.forgetTopic(topic);
        throw error;
      }
    });
  }

  topic(name: string): Promise<{ readonly id: string; readonly partitions: number } | undefined> {
    return this.#asking.attempt(`finding topic "${name}"`, this.#timeoutMs, async () => {
      const info = await this.#asking.findTopic(name);
      return info && { id: info.id, partitions: info.leaders.length };
    });
  }

  async committed(group: string, topic: string): Promise<readonly GroupOffset[]> {
    const doing = `reading the offsets of group "${group}"`;
    return this.#asking.attempt(doing, this.#timeoutMs, async () => {
      const { leaders } = await this.#asking.topic(topic);
      return committedOffsets(this.#asking, group, topic, leaders.length);
    });
  }

  async commit(group: string, offsets: readonly GroupOffset[]): Promise<void> {
    if (offsets.length === 0) return;
    const doing = `committing offsets of group "${group}"`;
    await this.#asking.attempt(doing, this.#timeoutMs, () =>
      commitOffsets(this.#asking, group, offsets),
    );
  }

  offsets(topics: readonly string[]): Promise<readonly PartitionOffsets[]> {
    const doing = `reading the offsets of ${topics.join(", ")}`;
    return this.#asking.attempt(doing, this.#timeoutMs, () => readOffsets(this.#asking, topics));
  }

  async close(): Promise<void> {
    await Promise.all([this.#reading.close(), this.#asking.close()]);
  }

  async #fetchOnce(
    positions: readonly FetchPosition[],
    limits: FetchLimits,
  ): Promise<readonly FetchedPartition[]> {
    const topics = new Map<string, TopicInfo | undefined>();
    for (const name of new Set(positions.map((position) => position.topic)))
      topics.set(name, this.#reading.recall(name) ?? (await this.#reading.findTopic(name)));
    const fetched: FetchedPartition[] = [];
    const byLeader = new Map<
      number,
      { slot: number; position: FetchPosition; topic: TopicInfo }[]
    >();
    for (const [slot, position] of positions.entries()) {
      const topic = topics.get(position.topic);
      const leader = topic?.leaders[position.partition];
      if (topic === undefined || leader === undefined) {
        this.#reading.forgetTopic(position.topic);
        fetched[slot] = without(position, "topic_unknown");
      } else if (position.topicId !== undefined && position.topicId !== topic.id) {
        fetched[slot] = await this.#withRange(position, "recreated", topic.id);
      } else if (leader === -1) {
        this.#reading.forgetTopic(position.topic);
        fetched[slot] = without(position, "unavailable", topic.id);
      } else {
        const asked = byLeader.get(leader) ?? [];
        byLeader.set(leader, asked);
        asked.push({ slot, position, topic });
      }
    }
    // Whoever has something to say already must not wait for records.
    const maxWaitMs = fetched.some(Boolean) ? 0 : Math.min(limits.maxWaitMillis, MAX_FETCH_WAIT_MS);
    await Promise.all(
      [...byLeader].map(async ([leader, asked]) => {
        const answers = await this.#ask(leader, asked, maxWaitMs, limits);
        for (const { slot, position, topic } of asked) {
          const answer = answers.get(`${topic.id}-${position.partition}`);
          fetched[slot] = await this.#judge(position, topic, answer);
        }
      }),
    );
    return fetched;
  }

  async #ask(
    leader: number,
    asked: readonly { position: FetchPosition; topic: TopicInfo }[],
    maxWaitMs: number,
    limits: FetchLimits,
  ): Promise<ReadonlyMap<string, PartitionAnswer>> {
    const connection = await this.#reading.node(leader);
    const answer = await this.#reading.call(fetchApi, connection, {
      maxWaitMs,
      maxBytes: limits.maxBytes,
      maxBytesPerPartition: limits.maxBytesPerPartition ?? limits.maxBytes,
      positions: asked.map(({ position, topic }) => ({
        topicId: topic.id,
        partition: position.partition,
        offset: position.offset,
      })),
    });
    accept(answer.errorCode);
    return new Map(answer.partitions.map((one) => [`${one.topicId}-${one.partition}`, one]));
  }

  async #judge(
    position: FetchPosition,
    info: TopicInfo,
    answer: PartitionAnswer | undefined,
  ): Promise<FetchedPartition> {
    const { topic, partition, offset } = position;
    const code = answer?.errorCode ?? -1;
    if (code === OFFSET_OUT_OF_RANGE) return this.#withRange(position, "out_of_range", info.id);
    if (answer === undefined || code !== 0) {
      const refusal = new BrokerRefusal(code, `${topic}-${partition}`);
      if (!refusal.passing) throw refusal;
      this.#reading.forgetTopic(topic);
      return without(position, "unavailable", info.id);
    }
    const { lastStableOffset: end, logStart: begin, aborted, bytes } = answer;
    const decoded = decodeBatches(bytes, topic, partition, offset, aborted);
    return { topic, partition, state: "fetched", topicId: info.id, ...decoded, begin, end };
  }

  async #withRange(
    position: FetchPosition,
    state: FetchState,
    topicId: string,
  ): Promise<FetchedPartition> {
    const ranges = await readOffsets(this.#asking, [position.topic]);
    const range = ranges.find((one) => one.partition === position.partition);
    const { begin, end } = range ?? { begin: 0, end: 0 };
    return { ...without(position, state, topicId), begin, end };
  }
}

function without(position: FetchPosition, state: FetchState, topicId = ""): FetchedPartition {
  const { topic, partition, offset } = position;
  return { topic, partition, state, topicId, records: [], nextOffset: offset, begin: 0, end: 0 };
}
