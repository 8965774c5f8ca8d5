/**
 * Topics of an MSK Provisioned or Express cluster through AWS's own API, which needs no way to the
 * brokers. MSK Serverless and other clusters do not have it: there `createAdmin` makes them.
 *
 * What the API tells may be a minute old, so a topic made or changed by others a moment ago can be
 * judged by what it was.
 *
 * Of a topic's settings the API's reference says only that they are base64. They are sent as a JSON
 * object with values of text, as the acceptance test of Terraform's `aws_msk_topic` sends them, and
 * read as that or as a `name=value` a line.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DescribeTopicCommandOutput } from "@aws-sdk/client-kafka";
import { unavailable } from "@headrace/kernel";
import type { Admin, TopicShape } from "./admin.ts";
import { type AwsCall, callMsk } from "./aws-calls.ts";
import { parseCluster } from "./config.ts";
import { hasFewerPartitions, Trouble } from "./errors.ts";

export interface MskTopicsOptions {
  /** For each topic. Default 180 s: three times the age of what AWS tells. */
  readonly timeoutMs?: number;
  /** Between two looks at a topic that is being made or changed. Default 2 s. */
  readonly pauseMs?: number;
}

/** What MSK's own default is for three availability zones. */
const REPLICAS = 3;
const TIMEOUT_MS = 180_000;
const PAUSE_MS = 2_000;
const REMEDY = "look at the cluster's state in the MSK console: it must be ACTIVE";

/** `ensureTopic` promises what `Admin`'s does. Throws `kafka.cluster` where `clusterArn` is no ARN. */
export function createMskTopics(
  clusterArn: string,
  options: MskTopicsOptions = {},
): Pick<Admin, "ensureTopic"> {
  const cluster = new MskCluster(clusterArn);
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const pauseMs = options.pauseMs ?? PAUSE_MS;

  return {
    async ensureTopic(name, shape) {
      const deadline = performance.now() + timeoutMs;
      const until = <T>(look: () => Promise<T | undefined>): Promise<T> =>
        repeat(look, deadline, pauseMs, name);
      const whenActive = (partitions: number): Promise<Topic> =>
        until(async () => {
          const topic = await cluster.describe(name);
          return topic?.state === "ACTIVE" && topic.partitions >= partitions ? topic : undefined;
        });

      const isNew = await until(
        async () => (await cluster.describe(name)) === undefined && cluster.create(name, shape),
      );
      const topic = await whenActive(isNew ? shape.partitions : 1);
      if (isNew) return;
      if (topic.partitions < shape.partitions) {
        if (shape.grow !== true) throw hasFewerPartitions(name, topic.partitions, shape.partitions);
        await until(() => cluster.update(name, { PartitionCount: shape.partitions }));
        await whenActive(shape.partitions);
      }
      const wanted = Object.entries(shape.configs ?? {});
      if (wanted.every(([key, value]) => topic.configs.get(key) === value)) return;
      // All of them, not what differs alone: whether the API leaves the others is not said.
      await until(() => cluster.update(name, { Configs: writeConfigs(wanted) }));
      await whenActive(shape.partitions);
    },
  };
}

interface Topic {
  readonly state: string | undefined;
  readonly partitions: number;
  readonly configs: ReadonlyMap<string, string>;
}

class MskCluster {
  readonly #arn: string;
  readonly #region: string;

  constructor(clusterArn: string) {
    const { arn, region } = parseCluster(clusterArn);
    this.#arn = arn;
    this.#region = region;
  }

  /** Undefined where there is no such topic (yet), or no such cluster. */
  async describe(name: string): Promise<Topic | undefined> {
    const call = this.#call(`looking for topic "${name}"`, [
      "kafka-cluster:DescribeTopic",
      "kafka-cluster:DescribeTopicDynamicConfiguration",
    ]);
    const input = { ClusterArn: this.#arn, TopicName: name };
    const answer = await callMsk(
      this.#region,
      call,
      ({ DescribeTopicCommand }, client) => client.send(new DescribeTopicCommand(input)),
      "NotFoundException",
    );
    return answer && readTopic(answer);
  }

  /** False where somebody else made it meanwhile, or the API did not tell of it yet. */
  async create(name: string, { partitions, replicas, configs }: TopicShape): Promise<boolean> {
    const call = this.#call(`making topic "${name}"`, ["kafka-cluster:CreateTopic"]);
    const input = {
      ClusterArn: this.#arn,
      TopicName: name,
      PartitionCount: partitions,
      ReplicationFactor: replicas ?? REPLICAS,
      ...(configs === undefined ? {} : { Configs: writeConfigs(Object.entries(configs)) }),
    };
    const answer = await callMsk(
      this.#region,
      call,
      ({ CreateTopicCommand }, client) => client.send(new CreateTopicCommand(input)),
      "TopicExistsException",
    );
    return answer !== undefined;
  }

  async update(
    name: string,
    change: { readonly Configs: string } | { readonly PartitionCount: number },
  ): Promise<true> {
    const call = this.#call(`changing topic "${name}"`, [
      "kafka-cluster:DescribeTopic",
      "kafka-cluster:AlterTopic",
      "kafka-cluster:AlterTopicDynamicConfiguration",
    ]);
    const input = { ClusterArn: this.#arn, TopicName: name, ...change };
    await callMsk(this.#region, call, ({ UpdateTopicCommand }, client) =>
      client.send(new UpdateTopicCommand(input)),
    );
    return true;
  }

  #call(doing: string, actions: readonly string[]): AwsCall {
    const action = [...actions, "kafka-cluster:Connect"].join(", ");
    return {
      doing: `${doing} in ${this.#arn}`,
      action,
      failed: "kafka.unavailable",
      remedy: REMEDY,
    };
  }
}

/** The first value that is not undefined; what may pass is tried again until `deadline`. */
async function repeat<T>(
  look: () => Promise<T | undefined>,
  deadline: number,
  pauseMs: number,
  name: string,
): Promise<T> {
  for (;;) {
    let trouble: Trouble | undefined;
    try {
      const value = await look();
      if (value !== undefined) return value;
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      trouble = error;
    }
    if (performance.now() + pauseMs > deadline) throw trouble?.shown ?? notActive(name);
    await sleep(pauseMs);
  }
}

const notActive = (name: string) =>
  unavailable("kafka.unavailable", `topic "${name}" did not become ACTIVE in time: ${REMEDY}`);

function readTopic(answer: DescribeTopicCommandOutput): Topic {
  return {
    state: answer.Status,
    partitions: answer.PartitionCount ?? 0,
    configs: readConfigs(answer.Configs ?? ""),
  };
}

function writeConfigs(configs: readonly (readonly [string, string])[]): string {
  return Buffer.from(JSON.stringify(Object.fromEntries(configs))).toString("base64");
}

function readConfigs(encoded: string): ReadonlyMap<string, string> {
  const text = Buffer.from(encoded, "base64").toString().trim();
  return new Map(text.startsWith("{") ? readJson(text) : readLines(text));
}

/** What cannot be read counts as nothing set, so what is wanted is set again. */
function readJson(text: string): (readonly [string, string])[] {
  try {
    const settings: Record<string, unknown> = JSON.parse(text);
    return Object.entries(settings).map(([name, value]) => [name, String(value)]);
  } catch {
    return [];
  }
}

function readLines(text: string): (readonly [string, string])[] {
  return text.split("\n").flatMap((line) => {
    const at = line.indexOf("=");
    return at === -1 ? [] : [[line.slice(0, at).trim(), line.slice(at + 1).trim()] as const];
  });
}
