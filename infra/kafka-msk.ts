/**
 * Kafka of AWS (MSK), serverless or with brokers of our own choosing: TLS alone, sign-in by the
 * function's own role alone, no address outside of the network, no topics that come to be by mistake.
 *
 * It is a component of ours and not SST's: SST's own refuse a child of a type whose name they cannot
 * prefix, and MSK is one. For the same reason SST does not retain it; production asks for that here.
 */
import type { Kafka } from "./kafka.ts";
import { mappingPermissions, permissionsFor } from "./kafka-permissions.ts";
import { createGroup, KAFKA_IAM_PORT, type Network, port } from "./network.ts";
import { isExpress, type MskProvisionedSettings, type Stage } from "./settings.ts";
import { topicsOf } from "./topics.ts";

export class MskServerless extends $util.ComponentResource {
  static readonly __pulumiType = "headrace:aws:MskServerless";
  readonly cluster: aws.msk.ServerlessCluster;

  constructor(name: string, { stage, network }: MskArgs) {
    super(MskServerless.__pulumiType, name, {});
    this.cluster = new aws.msk.ServerlessCluster(
      `${name}Cluster`,
      {
        clusterName: clusterName(),
        clientAuthentication: { sasl: { iam: { enabled: true } } },
        vpcConfigs: [
          {
            subnetIds: network.vpc.privateSubnets,
            securityGroupIds: [createKafkaGroup(network).id],
          },
        ],
      },
      { parent: this, retainOnDelete: stage.production },
    );
    this.registerOutputs({ arn: this.cluster.arn });
  }
}

export class MskProvisioned extends $util.ComponentResource {
  static readonly __pulumiType = "headrace:aws:MskProvisioned";
  readonly cluster: aws.msk.Cluster;

  constructor(
    name: string,
    { stage, network, settings }: MskArgs & { settings: MskProvisionedSettings },
  ) {
    super(MskProvisioned.__pulumiType, name, {});
    const options = { parent: this, retainOnDelete: stage.production };
    const configuration = new aws.msk.Configuration(
      `${name}Configuration`,
      {
        kafkaVersions: [settings.version],
        serverProperties: serverProperties(settings),
      },
      options,
    );
    this.cluster = new aws.msk.Cluster(
      `${name}Cluster`,
      {
        clusterName: clusterName(),
        kafkaVersion: settings.version,
        numberOfBrokerNodes: settings.brokers,
        brokerNodeGroupInfo: {
          instanceType: settings.instance,
          clientSubnets: network.vpc.privateSubnets,
          securityGroups: [createKafkaGroup(network).id],
          connectivityInfo: { publicAccess: { type: "DISABLED" } },
          ...(settings.storageGigabytes === undefined
            ? {}
            : { storageInfo: { ebsStorageInfo: { volumeSize: settings.storageGigabytes } } }),
        },
        clientAuthentication: { sasl: { iam: true }, unauthenticated: false },
        // At rest, MSK encrypts with its own key where none is named.
        encryptionInfo: { encryptionInTransit: { clientBroker: "TLS", inCluster: true } },
        configurationInfo: { arn: configuration.arn, revision: configuration.latestRevision },
      },
      options,
    );
    this.registerOutputs({ arn: this.cluster.arn });
  }
}

interface MskArgs {
  readonly stage: Stage;
  readonly network: Network;
}

export function createMskServerless(stage: Stage, network: Network): Kafka {
  const { cluster } = new MskServerless("KafkaServerless", { stage, network });
  return mskKafka(stage, cluster, {});
}

export function createMskProvisioned(
  stage: Stage,
  settings: MskProvisionedSettings,
  network: Network,
): Kafka {
  const { cluster } = new MskProvisioned("KafkaProvisioned", { stage, network, settings });
  // Only clusters with brokers of their own have topics in AWS's API.
  return mskKafka(stage, cluster, { KAFKA_TOPIC_API: "msk" });
}

function mskKafka(
  stage: Stage,
  cluster: aws.msk.ServerlessCluster | aws.msk.Cluster,
  topicEnvironment: Kafka["topicEnvironment"],
): Kafka {
  const topics = topicsOf(stage).map(({ name }) => name);
  const byApi = topicEnvironment.KAFKA_TOPIC_API === "msk";
  return {
    link: new sst.Linkable("Kafka", {
      properties: {
        kind: "iam",
        brokers: cluster.bootstrapBrokersSaslIam,
        clusterArn: cluster.arn,
        region: stage.region,
      },
    }),
    permissionsFor: (uses) => permissionsFor(uses, { arn: cluster.arn, topics, byApi }),
    mappingOf: ({ topic, group, failureTopic }) => ({
      args: {
        eventSourceArn: cluster.arn,
        amazonManagedKafkaEventSourceConfig: { consumerGroupId: group },
      },
      permissions: mappingPermissions({ arn: cluster.arn, topic, group, failureTopic }),
    }),
    made: [cluster],
    clusterName: cluster.clusterName,
    topicEnvironment,
  };
}

/** Mappings have their network interfaces in the cluster's own group, so it lets itself in. */
const createKafkaGroup = ({ vpc, functionGroup }: Network): aws.ec2.SecurityGroup =>
  createGroup(vpc, "Kafka", {
    ingress: [
      { ...port(KAFKA_IAM_PORT), securityGroups: [functionGroup.id] },
      { ...port(KAFKA_IAM_PORT), self: true },
    ],
    egress: [{ ...port(KAFKA_IAM_PORT), self: true }],
  });

const clusterName = (): string => `${$app.name}-${$app.stage}`;

/** Express brokers decide about copies by themselves. */
function serverProperties(settings: MskProvisionedSettings): string {
  const own = ["auto.create.topics.enable=false"];
  if (!isExpress(settings)) own.push("default.replication.factor=3", "min.insync.replicas=2");
  return own.join("\n");
}
