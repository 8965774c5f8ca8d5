/**
 * What the brokers say about themselves: who leads which partition, which id a topic has, who keeps
 * a group's offsets. Asked when needed, kept for a while, asked again after any answer that says it
 * is out of date. Every call here ends within the time it is given.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, bug } from "@headrace/kernel";
import {
  type API,
  type Connection,
  FindCoordinatorKeyTypes,
  findCoordinatorV4,
  metadataV12,
  ResponseError,
} from "@platformatic/kafka";
import { type BrokerList, brokerList } from "./broker-list.ts";
import { type BrokerAddress, type KafkaConfig, nameOf, readSettings } from "./config.ts";
import { Connections } from "./connections.ts";
import { accept, BrokerRefusal, isPassing, toAppError, unanswered } from "./errors.ts";
import { inTime } from "./in-time.ts";

export interface TopicInfo {
  readonly name: string;
  /** Changes when a topic is deleted and made again under the same name. */
  readonly id: string;
  /** Indexed by partition; -1 while a partition has no leader. */
  readonly leaders: readonly number[];
}

/** How long a topic's partitions are believed; a topic that grew is noticed after this. */
const TOPIC_MAX_AGE_MS = 30_000;
/** A topic made a moment ago may not be known to every broker yet; longer means a wrong name. */
const UNKNOWN_TOPIC_GRACE_MS = 2_000;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

export class Cluster {
  readonly #bootstrap: BrokerList;
  readonly #connections: Connections;
  readonly #nodes = new Map<number, BrokerAddress>();
  readonly #topics = new Map<string, { info: TopicInfo; readAt: number }>();
  readonly #asking = new Map<string, Promise<TopicInfo | undefined>>();
  readonly #coordinators = new Map<string, BrokerAddress>();
  #controller: number | undefined;

  constructor(config: KafkaConfig) {
    const settings = readSettings(config);
    this.#bootstrap = brokerList(settings);
    this.#connections = new Connections(settings);
  }

  /** For messages: the addresses to begin with. */
  get brokers(): readonly string[] {
    return this.#bootstrap.names;
  }

  /** Runs `work` until it succeeds or fails for good, at most `timeoutMs`; throws AppError. */
  async attempt<T>(doing: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    let last: unknown;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const leftMs = timeoutMs - (performance.now() - startedAt);
      try {
        return await inTime(work(), leftMs, () => unanswered(doing, this.brokers, last));
      } catch (error) {
        last = error;
        const spentMs = performance.now() - startedAt;
        const topicUnknown = error instanceof BrokerRefusal && isTopicUnknown(error);
        const lastsMs = topicUnknown ? Math.min(timeoutMs, UNKNOWN_TOPIC_GRACE_MS) : timeoutMs;
        if (this.#connections.closed) throw bug("kafka.closed", `closed while ${doing}`);
        if (!isPassing(error) || spentMs + pauseMs >= lastsMs)
          throw toAppError(error, doing, this.brokers);
      }
      await sleep(pauseMs);
    }
  }

  /** The topic as last heard of, without asking; undefined when not known or no longer believed. */
  recall(name: string): TopicInfo | undefined {
    const known = this.#topics.get(name);
    if (known === undefined || performance.now() - known.readAt > TOPIC_MAX_AGE_MS)
      return undefined;
    return known.info;
  }

  /** Throws the refusal UNKNOWN_TOPIC_OR_PARTITION where there is no such topic now. */
  async topic(name: string): Promise<TopicInfo> {
    const info = this.recall(name) ?? (await this.findTopic(name));
    if (info === undefined) throw new BrokerRefusal(3, `there is no topic "${name}"`);
    return info;
  }

  /** Asks the brokers; callers at the same moment share the answer. */
  findTopic(name: string): Promise<TopicInfo | undefined> {
    const asking = this.#asking.get(name);
    if (asking !== undefined) return asking;
    const fresh = this.#askForTopic(name).finally(() => this.#asking.delete(name));
    this.#asking.set(name, fresh);
    return fresh;
  }

  forgetTopic(name: string): void {
    this.#topics.delete(name);
  }

  async #askForTopic(name: string): Promise<TopicInfo | undefined> {
    const answer = await this.call(metadataV12.api, await this.anyone(), [name], false, false);
    this.#nodes.clear();
    for (const { nodeId, host, port } of answer.brokers) this.#nodes.set(nodeId, { host, port });
    this.#controller = answer.controllerId;
    const topic = answer.topics.find((one) => one.name === name);
    if (topic === undefined || topic.errorCode === 3) {
      this.#topics.delete(name);
      return undefined;
    }
    accept(topic.errorCode, `topic "${name}"`);
    const leaders: number[] = [];
    for (const one of topic.partitions) leaders[one.partitionIndex] = one.leaderId;
    const info = { name, id: topic.topicId, leaders };
    this.#topics.set(name, { info, readAt: performance.now() });
    return info;
  }

  /** A connection to some broker: a known one, else one of those to begin with. */
  async anyone(): Promise<Connection> {
    const failed = new Map<string, unknown>();
    const firstOf = async (brokers: Iterable<BrokerAddress>): Promise<Connection | undefined> => {
      for (const broker of brokers) {
        const key = nameOf(broker);
        if (failed.has(key)) continue;
        try {
          return await this.#connections.to(broker);
        } catch (error) {
          failed.set(key, error);
        }
      }
      return undefined;
    };
    const found =
      (await firstOf(this.#nodes.values())) ?? (await firstOf(await this.#bootstrap.addresses()));
    if (found !== undefined) return found;
    this.#bootstrap.doubt();
    const failures = [...failed.values()];
    // One that says what is wrong tells more than one that did not answer.
    throw failures.find((error) => error instanceof AppError) ?? failures.at(-1);
  }

  async node(id: number): Promise<Connection> {
    const broker = this.#nodes.get(id);
    if (broker === undefined) throw new BrokerRefusal(5, `broker ${id} is not known`);
    return this.#connections.to(broker);
  }

  /** The controller, or with KRaft the broker that stands for it. */
  async controller(): Promise<Connection> {
    return this.#controller !== undefined && this.#nodes.has(this.#controller)
      ? this.node(this.#controller)
      : this.anyone();
  }

  async coordinator(group: string): Promise<Connection> {
    const known = this.#coordinators.get(group);
    if (known !== undefined) return this.#connections.to(known);
    const asked = await this.anyone();
    const keyType = FindCoordinatorKeyTypes.GROUP;
    const answer = await this.call(findCoordinatorV4.api, asked, keyType, [group]);
    const found = answer.coordinators.find((one) => one.key === group);
    if (found === undefined) throw new BrokerRefusal(15);
    accept(found.errorCode, found.errorMessage);
    const broker = { host: found.host, port: found.port };
    this.#coordinators.set(group, broker);
    return this.#connections.to(broker);
  }

  forgetCoordinator(group: string): void {
    this.#coordinators.delete(group);
  }

  /**
   * One request. The library throws where any item of an answer is an error; here such an answer is
   * returned, and the caller judges each item by its code.
   */
  async call<A extends unknown[], R>(api: API<A, R>, to: Connection, ...request: A): Promise<R> {
    try {
      return await api.async(to, ...request);
    } catch (error) {
      if (error instanceof ResponseError && error.response !== undefined)
        return error.response as R;
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#connections.close();
  }
}

function isTopicUnknown(refusal: BrokerRefusal): boolean {
  return refusal.id === "UNKNOWN_TOPIC_OR_PARTITION" || refusal.id === "UNKNOWN_TOPIC_ID";
}
