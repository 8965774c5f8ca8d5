/** Makes topics and tells what there is. Every call ends within its time, 15 s unless told otherwise. */
import {
  ConfigResourceTypes,
  createPartitionsV3,
  createTopicsV7,
  deleteTopicsV6,
  describeConfigsV4,
  IncrementalAlterConfigOperationTypes,
  incrementalAlterConfigsV1,
} from "@platformatic/kafka";
import { Cluster, type TopicInfo } from "./cluster.ts";
import type { KafkaConfig } from "./config.ts";
import { accept, BrokerRefusal, hasFewerPartitions } from "./errors.ts";
import { type PartitionOffsets, readOffsets } from "./offsets.ts";

export interface TopicShape {
  readonly partitions: number;
  /** Topic settings by Kafka's names, such as `message.timestamp.type`. */
  readonly configs?: Readonly<Record<string, string>>;
  /** Default: the broker's. */
  readonly replicas?: number;
  /**
   * Adds partitions to a topic that has fewer. Keys then move to other partitions, so records of one
   * key from before and after are in no order; hence only when asked for.
   */
  readonly grow?: boolean;
}

export interface Admin {
  /**
   * Makes the topic, or makes an existing one fit: settings named in `configs` are set where they
   * differ. An existing topic with fewer partitions is refused (`kafka.topic_has_fewer_partitions`)
   * unless `grow`; one with more is left. Returns once every partition can be written.
   */
  ensureTopic(name: string, shape: TopicShape): Promise<void>;
  /** Returns once the topic is gone; one that is not there is gone. */
  deleteTopic(name: string): Promise<void>;
  partitions(topic: string): Promise<number>;
  /** Begin (log start) and end of each partition of each topic. */
  offsets(topics: readonly string[]): Promise<readonly PartitionOffsets[]>;
  close(): Promise<void>;
}

export interface AdminOptions {
  /** For each call, waiting for a broker that is down included. Default 15 s. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;
/** Within a request: how long the broker may take to pass the change on. */
const SPREAD_TIMEOUT_MS = 5_000;
const TOPIC_ALREADY_EXISTS = 36;
const UNKNOWN_TOPIC = 3;
const LEADER_NOT_AVAILABLE = 5;

export function createAdmin(config: KafkaConfig, options: AdminOptions = {}): Admin {
  const cluster = new Cluster(config);
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const within = <T>(doing: string, work: () => Promise<T>): Promise<T> =>
    cluster.attempt(doing, timeoutMs, work);

  return {
    async ensureTopic(name, shape) {
      await within(`making topic "${name}"`, async () => {
        if (!(await makeTopic(cluster, name, shape))) await fitTopic(cluster, name, shape);
      });
      await within(`waiting for topic "${name}"`, () => whenLed(cluster, name, shape.partitions));
    },

    async deleteTopic(name) {
      await within(`deleting topic "${name}"`, () => dropTopic(cluster, name));
      await within(`waiting for topic "${name}" to go`, async () => {
        if ((await cluster.findTopic(name)) !== undefined)
          throw new BrokerRefusal(LEADER_NOT_AVAILABLE);
      });
    },

    async partitions(topic) {
      cluster.forgetTopic(topic);
      const info = await within(`finding topic "${topic}"`, () => cluster.topic(topic));
      return info.leaders.length;
    },

    offsets(topics) {
      for (const topic of topics) cluster.forgetTopic(topic);
      return within(`reading the offsets of ${topics.join(", ")}`, () =>
        readOffsets(cluster, topics),
      );
    },

    close: () => cluster.close(),
  };
}

/** False where the topic is there already. */
async function makeTopic(cluster: Cluster, name: string, shape: TopicShape): Promise<boolean> {
  const topic = {
    name,
    numPartitions: shape.partitions,
    replicationFactor: shape.replicas ?? -1,
    assignments: [],
    configs: Object.entries(shape.configs ?? {}).map(([key, value]) => ({ name: key, value })),
  };
  const controller = await cluster.controller();
  const answer = await cluster.call(
    createTopicsV7.api,
    controller,
    [topic],
    SPREAD_TIMEOUT_MS,
    false,
  );
  const outcome = answer.topics[0];
  if (outcome?.errorCode === TOPIC_ALREADY_EXISTS) return false;
  accept(outcome?.errorCode ?? -1, outcome?.errorMessage);
  return true;
}

async function fitTopic(cluster: Cluster, name: string, shape: TopicShape): Promise<void> {
  const info = await freshTopic(cluster, name);
  const count = info.leaders.length;
  if (count < shape.partitions) {
    if (shape.grow !== true) throw hasFewerPartitions(name, count, shape.partitions);
    await growTopic(cluster, name, shape.partitions);
  }
  const wanted = Object.entries(shape.configs ?? {});
  if (wanted.length === 0) return;
  const current = await readSettings(cluster, name);
  const differing = wanted.filter(([key, value]) => current.get(key) !== value);
  if (differing.length > 0) await setSettings(cluster, name, differing);
}

async function growTopic(cluster: Cluster, name: string, count: number): Promise<void> {
  const topics = [{ name, count, assignments: null }];
  const controller = await cluster.controller();
  const answer = await cluster.call(
    createPartitionsV3.api,
    controller,
    topics,
    SPREAD_TIMEOUT_MS,
    false,
  );
  const outcome = answer.results[0];
  accept(outcome?.errorCode ?? -1, outcome?.errorMessage);
}

async function readSettings(cluster: Cluster, name: string): Promise<ReadonlyMap<string, unknown>> {
  const resources = [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: name }];
  const broker = await cluster.anyone();
  const answer = await cluster.call(describeConfigsV4.api, broker, resources, false, false);
  const outcome = answer.results[0];
  accept(outcome?.errorCode ?? -1, outcome?.errorMessage);
  return new Map(outcome?.configs.map((one) => [one.name, one.value]));
}

async function setSettings(
  cluster: Cluster,
  name: string,
  settings: readonly (readonly [string, string])[],
): Promise<void> {
  const configOperation = IncrementalAlterConfigOperationTypes.SET;
  const configs = settings.map(([key, value]) => ({ name: key, configOperation, value }));
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: name, configs };
  const controller = await cluster.controller();
  const answer = await cluster.call(incrementalAlterConfigsV1.api, controller, [resource], false);
  const outcome = answer.responses[0];
  accept(outcome?.errorCode ?? -1, outcome?.errorMessage);
}

async function dropTopic(cluster: Cluster, name: string): Promise<void> {
  const controller = await cluster.controller();
  const answer = await cluster.call(deleteTopicsV6.api, controller, [{ name }], SPREAD_TIMEOUT_MS);
  const outcome = answer.responses[0];
  if (outcome?.errorCode !== UNKNOWN_TOPIC) accept(outcome?.errorCode ?? -1, outcome?.errorMessage);
}

async function whenLed(cluster: Cluster, name: string, partitions: number): Promise<void> {
  const { leaders } = await freshTopic(cluster, name);
  if (leaders.length < partitions || leaders.includes(-1))
    throw new BrokerRefusal(LEADER_NOT_AVAILABLE);
}

function freshTopic(cluster: Cluster, name: string): Promise<TopicInfo> {
  cluster.forgetTopic(name);
  return cluster.topic(name);
}
