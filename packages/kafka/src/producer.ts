/**
 * Writes records: acknowledged by all replicas, each stored once however often a request is repeated
 * (idempotent), in order per partition, keyed records where Java's producer puts them.
 *
 * While a broker works on one request, records that arrive wait and leave together in the next, so
 * that batches grow with the load and a lone record waits for nothing. `send` ends within
 * `sendTimeoutMs`. When it fails with `kafka.unavailable` or `kafka.unauthenticated`, its records may
 * or may not be stored, and a record sent again by the caller can then be stored twice.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { bug, invalid, unavailable } from "@headrace/kernel";
import { initProducerIdV4 } from "@platformatic/kafka";
import { Cluster, type TopicInfo } from "./cluster.ts";
import type { KafkaConfig } from "./config.ts";
import { type PreparedRecord, type ProducerIdentity, prepareRecord } from "./encode-batch.ts";
import { accept, unanswered } from "./errors.ts";
import { partitionOf } from "./partitioner.ts";
import { produceApi } from "./produce-request.ts";
import { Lane } from "./producer-lane.ts";
import type { OutgoingRecord, RecordPosition } from "./record.ts";
import { SendCall } from "./send-call.ts";

export interface Producer {
  /**
   * Resolves once all records are stored, with their positions in the order given. Rejects with the
   * first failure once the outcome of each record is known or `sendTimeoutMs` passed; records of the
   * same call in other partitions may be stored nonetheless.
   */
  send(records: readonly OutgoingRecord[]): Promise<readonly RecordPosition[]>;
  /** Waits for what is being sent (bounded by its timeouts), then disconnects. */
  close(): Promise<void>;
}

export interface ProducerOptions {
  /** Default 10 s: longer than a broker takes to restart, shorter than a request may take. */
  readonly sendTimeoutMs?: number;
}

const SEND_TIMEOUT_MS = 10_000;
/** More waiting than this means that the brokers cannot follow; callers are told at once. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
/** Over any broker's `socket.request.max.bytes` a record would break the connection each time. */
const MAX_RECORD_BYTES = 32 * 1024 * 1024;
/** A request holds one batch for each partition, up to about this together. */
const MAX_REQUEST_BYTES = 8 * 1024 * 1024;
/** Under the connection's own timeout, so that the broker's answer is seen. */
const REPLICAS_TIMEOUT_MS = 8_000;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

export function createProducer(config: KafkaConfig, options: ProducerOptions = {}): Producer {
  return new IdempotentProducer(new Cluster(config), options.sendTimeoutMs ?? SEND_TIMEOUT_MS);
}

class IdempotentProducer implements Producer {
  readonly #cluster: Cluster;
  readonly #sendTimeoutMs: number;
  readonly #lanes = new Map<string, Lane>();
  readonly #calls = new Set<SendCall>();
  /** Brokers (by node id; -1 while the leader is not known) with a request under way. */
  readonly #busy = new Set<number>();
  #identity: Promise<ProducerIdentity> | undefined;
  /** What `#identity` resolved to last. */
  #current: ProducerIdentity | undefined;
  #queuedBytes = 0;
  #turn = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #closing = false;

  constructor(cluster: Cluster, sendTimeoutMs: number) {
    this.#cluster = cluster;
    this.#sendTimeoutMs = sendTimeoutMs;
  }

  async send(records: readonly OutgoingRecord[]): Promise<readonly RecordPosition[]> {
    if (this.#closing) throw bug("kafka.closed", "this Kafka producer was closed");
    if (records.length === 0) return [];
    const prepared = records.map(prepareRecord);
    const bytes = this.#admit(prepared);
    const call = new SendCall(records.length, this.#sendTimeoutMs, (cause) =>
      unanswered(`sending ${records.length} records`, this.#cluster.brokers, cause),
    );
    this.#calls.add(call);
    this.#queuedBytes += bytes;
    try {
      const topics = await this.#topicsOf(records);
      this.#enqueue(records, prepared, topics, call);
      this.#pump();
      return await call.outcome;
    } catch (error) {
      // Where the topics could not be found, nobody waits for the call's own outcome.
      call.abandon(error);
      throw error;
    } finally {
      this.#calls.delete(call);
      this.#queuedBytes -= bytes;
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    await Promise.allSettled([...this.#calls].map((call) => call.outcome));
    await this.#cluster.close();
  }

  #admit(prepared: readonly PreparedRecord[]): number {
    let bytes = 0;
    for (const { size } of prepared) {
      bytes += size;
      if (size <= MAX_RECORD_BYTES) continue;
      throw invalid("kafka.record_too_large", `a record of ${size} bytes; 32 MiB is the most`);
    }
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > MAX_QUEUED_BYTES)
      throw unavailable("kafka.queue_full", "over 64 MiB of records wait for Kafka already", {
        retryAfterSeconds: 1,
      });
    return bytes;
  }

  async #topicsOf(records: readonly OutgoingRecord[]): Promise<ReadonlyMap<string, TopicInfo>> {
    const highest = new Map<string, number>();
    for (const { topic, partition = 0 } of records)
      if (partition >= (highest.get(topic) ?? 0)) highest.set(topic, partition);
    const topics = new Map<string, TopicInfo>();
    for (const [topic, partition] of highest) {
      const known = this.#cluster.recall(topic);
      // A partition that is not known may be one that the topic has gained.
      const isEnough = known !== undefined && partition < known.leaders.length;
      topics.set(topic, isEnough ? known : await this.#refreshTopic(topic));
    }
    return topics;
  }

  #refreshTopic(topic: string): Promise<TopicInfo> {
    this.#cluster.forgetTopic(topic);
    return this.#findTopic(topic);
  }

  #findTopic(topic: string): Promise<TopicInfo> {
    return this.#cluster.attempt(`finding topic "${topic}"`, this.#sendTimeoutMs, () =>
      this.#cluster.topic(topic),
    );
  }

  #enqueue(
    records: readonly OutgoingRecord[],
    prepared: readonly PreparedRecord[],
    topics: ReadonlyMap<string, TopicInfo>,
    call: SendCall,
  ): void {
    const turn = this.#turn++;
    const partitions = records.map((record, i) => {
      const count = topics.get(record.topic)?.leaders.length ?? 0;
      return choosePartition(record, prepared[i]?.key ?? null, count, turn);
    });
    for (const [i, record] of records.entries()) {
      const one = prepared[i];
      const partition = partitions[i];
      if (one === undefined || partition === undefined) continue;
      this.#lane(record.topic, partition).add({ call, slot: i, record: one });
    }
  }

  #lane(topic: string, partition: number): Lane {
    const key = `${topic}-${partition}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = new Lane(topic, partition);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  /** Sends what waits to each broker that has no request under way. */
  #pump(): void {
    const ready = new Map<number, Lane[]>();
    for (const lane of this.#lanes.values()) {
      if (!lane.isWaiting()) continue;
      const leader = this.#cluster.recall(lane.topic)?.leaders[lane.partition] ?? -1;
      if (this.#busy.has(leader)) continue;
      const lanes = ready.get(leader);
      if (lanes === undefined) ready.set(leader, [lane]);
      else lanes.push(lane);
    }
    for (const [leader, lanes] of ready) void this.#serve(leader, lanes);
  }

  /** Never rejects: what fails goes back to its lane, and from there to its callers. */
  async #serve(leader: number, lanes: readonly Lane[]): Promise<void> {
    this.#busy.add(leader);
    for (const lane of lanes) lane.underWay = true;
    let sound = false;
    try {
      if (leader === -1) {
        const found = await Promise.all(lanes.map((lane) => this.#findLeader(lane)));
        sound = found.every(Boolean);
      } else sound = await this.#produce(leader, lanes);
    } catch (error) {
      for (const lane of lanes) this.#failed(lane, error);
    }
    this.#pauseMs = sound ? FIRST_PAUSE_MS : Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    if (!sound) await sleep(this.#pauseMs);
    for (const lane of lanes) lane.underWay = false;
    this.#busy.delete(leader);
    this.#pump();
  }

  async #findLeader(lane: Lane): Promise<boolean> {
    try {
      const topic = await this.#findTopic(lane.topic);
      return (topic.leaders[lane.partition] ?? -1) !== -1;
    } catch (error) {
      this.#failed(lane, error);
      return false;
    }
  }

  /** One request; true where every batch was stored. */
  async #produce(leader: number, lanes: readonly Lane[]): Promise<boolean> {
    const [identity, connection] = await Promise.all([
      this.#identify(),
      this.#cluster.node(leader),
    ]);
    const sent: Lane[] = [];
    const batches: { topic: string; partition: number; bytes: Buffer }[] = [];
    let room = MAX_REQUEST_BYTES;
    for (const lane of lanes) {
      if (room <= 0) break;
      const bytes = lane.freeze(identity);
      if (bytes === "renew" && this.#current === identity) this.#identity = undefined;
      if (bytes === undefined || bytes === "renew") continue;
      room -= bytes.length;
      sent.push(lane);
      batches.push({ topic: lane.topic, partition: lane.partition, bytes });
    }
    if (sent.length === 0) return true;
    const request = { batches, replicasTimeoutMs: REPLICAS_TIMEOUT_MS };
    const answer = await this.#cluster.call(produceApi, connection, request);
    let sound = true;
    for (const lane of sent) {
      const outcome = answer.responses
        .find((topic) => topic.name === lane.topic)
        ?.partitionResponses.find((one) => one.index === lane.partition);
      try {
        accept(outcome?.errorCode ?? -1, outcome?.errorMessage);
        lane.stored(Number(outcome?.baseOffset ?? -1n));
      } catch (error) {
        sound = false;
        this.#failed(lane, error);
      }
    }
    return sound;
  }

  #failed(lane: Lane, error: unknown): void {
    this.#cluster.forgetTopic(lane.topic);
    lane.failed(error, this.#cluster.brokers);
  }

  #identify(): Promise<ProducerIdentity> {
    this.#identity ??= this.#askForIdentity().catch((error: unknown) => {
      this.#identity = undefined;
      throw error;
    });
    return this.#identity;
  }

  async #askForIdentity(): Promise<ProducerIdentity> {
    const connection = await this.#cluster.anyone();
    const answer = await this.#cluster.call(initProducerIdV4.api, connection, null, 0, -1n, -1);
    accept(answer.errorCode);
    this.#current = { id: answer.producerId, epoch: answer.producerEpoch };
    return this.#current;
  }
}

function choosePartition(
  record: OutgoingRecord,
  key: Buffer | null,
  count: number,
  turn: number,
): number {
  if (record.partition === undefined) return key === null ? turn % count : partitionOf(key, count);
  if (Number.isInteger(record.partition) && record.partition >= 0 && record.partition < count)
    return record.partition;
  const place = `partition ${record.partition} of topic "${record.topic}"`;
  throw invalid("kafka.partition_unknown", `there is no ${place}; it has ${count}`);
}
