/**
 * What a role needs at MSK for each thing that a function does with Kafka: actions on one cluster, on
 * topics by their names and on one group, never on all of them.
 */
import type { KafkaUse } from "../functions/manifest.ts";
import type { Permission } from "./kafka.ts";
import { eventsTopic } from "./topics.ts";
import { permissionOnAnything } from "./wildcards.ts";

type Arn = $util.Output<string>;

/** `arn:…:cluster/NAME/ID` → `arn:…:topic/NAME/ID/TOPIC`. */
const topicArn = (cluster: Arn, topic: string): Arn =>
  cluster.apply((arn) => `${arn.replace(":cluster/", ":topic/")}/${topic}`);

const groupArn = (cluster: Arn, group: string): Arn =>
  cluster.apply((arn) => `${arn.replace(":cluster/", ":group/")}/${group}`);

/** Verbs of `kafka-cluster`, by what they are said of. */
interface Verbs {
  readonly cluster: readonly string[];
  readonly topics: readonly string[];
}

const VERBS: Readonly<Record<KafkaUse, Verbs>> = {
  produce: {
    cluster: ["Connect", "WriteDataIdempotently"],
    topics: ["DescribeTopic", "WriteData"],
  },
  read: { cluster: ["Connect"], topics: ["DescribeTopic", "ReadData"] },
  offsets: { cluster: ["Connect"], topics: ["DescribeTopic"] },
  administer: {
    cluster: ["Connect"],
    topics: [
      "AlterTopicDynamicConfiguration",
      "CreateTopic",
      "DescribeTopic",
      "DescribeTopicDynamicConfiguration",
    ],
  },
};

/** AWS's own calls, each of which asks for the verbs above too, and for `AlterTopic` to update. */
const TOPIC_API = ["kafka:CreateTopic", "kafka:DescribeTopic", "kafka:UpdateTopic"];

export interface TopicPlace {
  readonly arn: Arn;
  /** All that the stage has; only who makes topics is allowed more than the events'. */
  readonly topics: readonly string[];
  /** Whether topics are made through AWS's API. */
  readonly byApi: boolean;
}

export function permissionsFor(
  uses: readonly KafkaUse[],
  { arn, topics, byApi }: TopicPlace,
): readonly Permission[] {
  if (uses.length === 0) return [];
  const administers = uses.includes("administer");
  const topicArns = (administers ? topics : [eventsTopic()]).map((topic) => topicArn(arn, topic));
  const verbs = (on: keyof Verbs, more: readonly string[] = []) =>
    unique([...uses.flatMap((use) => VERBS[use][on]), ...more]).map(clusterAction);
  const viaApi = administers && byApi;
  return [
    { actions: verbs("cluster"), resources: [arn] },
    { actions: verbs("topics", viaApi ? ["AlterTopic"] : []), resources: topicArns },
    ...(viaApi ? [{ actions: [...TOPIC_API], resources: [arn, ...topicArns] }] : []),
  ];
}

export interface MappingPlace {
  readonly arn: Arn;
  readonly topic: string;
  readonly group: string;
  readonly failureTopic: string | undefined;
}

/** Lambda polls as the function's role. */
export function mappingPermissions(place: MappingPlace): readonly Permission[] {
  const { arn, topic, group, failureTopic } = place;
  return [
    {
      actions: ["kafka:DescribeCluster", "kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers"],
      resources: [arn],
    },
    {
      // AWS's policies for such mappings list the third as well.
      actions: ["Connect", "DescribeCluster", "DescribeClusterDynamicConfiguration"].map(
        clusterAction,
      ),
      resources: [arn],
    },
    {
      actions: ["DescribeTopic", "ReadData"].map(clusterAction),
      resources: [topicArn(arn, topic)],
    },
    {
      actions: ["AlterGroup", "DescribeGroup"].map(clusterAction),
      resources: [groupArn(arn, group)],
    },
    ...(failureTopic === undefined
      ? []
      : [
          {
            actions: ["DescribeTopic", "ReadData", "WriteData"].map(clusterAction),
            resources: [topicArn(arn, failureTopic)],
          },
        ]),
    permissionOnAnything("mappingNetwork"),
  ];
}

const clusterAction = (verb: string): string => `kafka-cluster:${verb}`;

const unique = (verbs: readonly string[]): string[] => [...new Set(verbs)].toSorted();
