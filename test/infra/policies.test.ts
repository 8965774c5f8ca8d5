/**
 * What every role of a stage may do, against a table, and against what the functions can be seen to
 * ask for: a role that lacks something or has more than that is a fault.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { type FunctionEntry, functions, functionsOf } from "../../functions/manifest.ts";
import { componentName } from "../../infra/component-name.ts";
import { MANAGED_POLICIES, WILDCARDS } from "../../infra/wildcards.ts";
import { EVALUATION_MS, evaluate } from "./evaluate.ts";
import { managedIn, permissionsIn, statementsIn, trustedBy } from "./permissions.ts";
import { type Reach, reachOf } from "./reach.ts";
import { settingsFor } from "./settings.ts";
import type { MadeResource, Stage } from "./stage.ts";

const ROLE = "aws:iam/role:Role";
const SIZES = ["starter", "standard", "large"] as const;
type Size = (typeof SIZES)[number];
type Table = Readonly<Record<string, readonly string[]>>;

const produces = [
  "kafka-cluster: Connect, WriteDataIdempotently → the cluster",
  "kafka-cluster: DescribeTopic, WriteData → topic events",
];
const startsRunsOf = (component: string) => [
  `lambda: InvokeFunction → function ${component}`,
  "sqs: SendMessage → queue MissedRuns",
];
const wakesPulse = "lambda: InvokeFunction → function CronPulse";

/** Of every size. */
const schedules: Table = {
  CronPulseSchedule: startsRunsOf("CronPulse"),
  CronMaintainPartitionsSchedule: startsRunsOf("CronMaintainPartitions"),
  CronAuditSchedule: startsRunsOf("CronAudit"),
};

/** Kafka knows its users by password there, and Neon too. */
const starter: Table = {
  ...schedules,
  DeployPrepareStage: [],
  KafkaIngestEvents: [wakesPulse, "secretsmanager: GetSecretValue → secret KafkaLogin"],
  CronPulse: ["sqs: SendMessage → queue MissedRuns"],
  CronMaintainPartitions: ["sqs: SendMessage → queue MissedRuns"],
  CronAudit: ["sqs: SendMessage → queue MissedRuns"],
  HttpCollect: [],
  HttpReports: [],
  HttpUsers: [],
  HttpDimensions: [],
  HttpJoins: [],
  HttpOperations: [],
};

const withNetwork: Table = {
  ...schedules,
  DeployPrepareStage: [
    "kafka-cluster: AlterTopicDynamicConfiguration, CreateTopic, DescribeTopic, DescribeTopicDynamicConfiguration → topic events, topic events.failed",
    "kafka-cluster: Connect → the cluster",
  ],
  KafkaIngestEvents: [
    "ec2: DescribeSecurityGroups, DescribeSubnets, DescribeVpcs → anything",
    "kafka-cluster: AlterGroup, DescribeGroup → group headrace-test-kafka-ingest-events",
    "kafka-cluster: Connect, DescribeCluster, DescribeClusterDynamicConfiguration → the cluster",
    "kafka-cluster: DescribeTopic, ReadData → topic events",
    "kafka-cluster: DescribeTopic, ReadData, WriteData → topic events.failed",
    "kafka: DescribeCluster, DescribeClusterV2, GetBootstrapBrokers → the cluster",
  ],
  CronPulse: [
    "kafka-cluster: Connect → the cluster",
    "kafka-cluster: DescribeTopic, ReadData → topic events",
    "sqs: SendMessage → queue MissedRuns",
  ],
  CronMaintainPartitions: ["sqs: SendMessage → queue MissedRuns"],
  CronAudit: ["sqs: SendMessage → queue MissedRuns"],
  HttpCollect: produces,
  HttpReports: [],
  HttpUsers: [],
  HttpDimensions: [],
  HttpJoins: [],
  HttpOperations: produces,
  DatabaseProxy: [
    "secretsmanager: GetSecretValue → secret DatabaseProxySecret, secret DatabaseProxySecretheadrace_worker, secret DatabaseProxySecretheadrace_orders, secret DatabaseProxySecretheadrace_reports",
  ],
};

const EXPECTED: Readonly<Record<Size, Table>> = {
  starter,
  standard: { ...withNetwork, NetworkNatInstance: [] },
  large: {
    ...withNetwork,
    DeployPrepareStage: [
      "kafka-cluster: AlterTopic, AlterTopicDynamicConfiguration, CreateTopic, DescribeTopic, DescribeTopicDynamicConfiguration → topic events, topic events.failed",
      "kafka-cluster: Connect → the cluster",
      "kafka: CreateTopic, DescribeTopic, UpdateTopic → the cluster, topic events, topic events.failed",
    ],
  },
};

/** Of AWS's own policies, those that roles of others than functions have. */
const OTHERS_MANAGED: Table = { NetworkNatInstance: ["AmazonSSMManagedInstanceCore"] };

const reaches = new Map<string, Reach>();
beforeAll(async () => {
  for (const entry of functions) reaches.set(entry.file, await reachOf(entry));
});

test.each(functions)("the manifest says what $file does with Kafka and pulse", (entry) => {
  const { commands, kafka } = reaches.get(entry.file) as Reach;
  expect([...kafka].toSorted()).toEqual(entry.kafka.toSorted());
  expect(commands.has("InvokeCommand")).toBe(entry.wakesPulse === true);
});

describe.each(SIZES)("size %s", (size) => {
  let stage: Stage;
  let roles: ReadonlyMap<string, MadeResource>;

  beforeAll(async () => {
    stage = await evaluate({ settings: settingsFor(size) });
    roles = new Map(stage.ofType(ROLE).map((role) => [role.name.replace(/Role$/, ""), role]));
  }, EVALUATION_MS);

  const deployed = functions.filter(({ file, trigger }) => {
    const isFast = trigger.kind === "cron" && trigger.every < 60 && file !== "cron/pulse";
    return !isFast;
  });

  test("every role may do what the table says of it, and there are no other roles", () => {
    const found = [...roles].map(([name, role]) => [name, statementsIn(role)]);
    const expected = Object.entries(EXPECTED[size]).map(([name, lines]) => [
      name,
      lines.toSorted(),
    ]);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
  });

  test("no policy stands outside of a role", () => {
    const types = [
      "aws:iam/policy:Policy",
      "aws:iam/rolePolicy:RolePolicy",
      "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    ];
    expect(types.flatMap((type) => stage.ofType(type))).toEqual([]);
  });

  test.each(deployed)(
    "the role of $file has what its code asks for, no less and no more",
    (entry) => {
      const needed = neededBy(entry, stage, reaches.get(entry.file) as Reach);
      const role = roles.get(componentName(entry)) as MadeResource;
      expect([...permissionsIn(role)].toSorted()).toEqual([...needed].toSorted());
    },
  );

  test("what is allowed on anything is in the list of wildcards, with a reason", () => {
    const listed = Object.values(WILDCARDS).flatMap(({ actions }) => [...actions]);
    const wild = [...roles.values()].flatMap((role) =>
      [...permissionsIn(role)]
        .filter((permission) => permission.includes("*") || permission.endsWith("→ anything"))
        .map((permission) => permission.replace(" → anything", "")),
    );
    expect(wild.filter((action) => !listed.includes(action as (typeof listed)[number]))).toEqual(
      [],
    );
  });

  test("a role has no policy of AWS's but those that SST gives to every function", () => {
    const network = size === "starter" ? [] : ["AWSLambdaVPCAccessExecutionRole"];
    const ofFunctions = ["AWSLambdaBasicExecutionRole", ...network];
    expect(ofFunctions.filter((name) => !(name in MANAGED_POLICIES))).toEqual([]);
    const names = new Set(deployed.map(componentName));
    for (const [name, role] of roles)
      expect([name, managedIn(role)]).toEqual([
        name,
        names.has(name) ? ofFunctions : (OTHERS_MANAGED[name] ?? []),
      ]);
  });

  test("only the service that it was made for may take a role on", () => {
    for (const [name, role] of roles)
      for (const principal of trustedBy(role))
        expect([name, principal]).toEqual([
          name,
          expect.stringMatching(/^[a-z0-9]+\.amazonaws\.com$/),
        ]);
  });
});

/** Verbs of Kafka's own requests, as IAM at MSK names them. */
const KAFKA_NEEDS = {
  produce: { cluster: ["WriteDataIdempotently"], topics: ["DescribeTopic", "WriteData"] },
  read: { cluster: [], topics: ["DescribeTopic", "ReadData"] },
  offsets: { cluster: [], topics: ["DescribeTopic"] },
  administer: {
    cluster: [],
    topics: [
      "AlterTopicDynamicConfiguration",
      "CreateTopic",
      "DescribeTopic",
      "DescribeTopicDynamicConfiguration",
    ],
  },
} as const;

/** What each command of the AWS SDK asks IAM for, where a stage makes a function use it. */
const COMMAND_NEEDS: Readonly<
  Record<string, (stage: Stage, component: string) => readonly string[]>
> = {
  InvokeCommand: (stage, component) =>
    "Pulse" in stage.linksOf(component) ? ["lambda:InvokeFunction → function CronPulse"] : [],
  // Asked only where no brokers were linked.
  GetBootstrapBrokersCommand: (stage, component) =>
    stage.linksOf(component).Kafka?.brokers === undefined
      ? ["kafka:GetBootstrapBrokers → the cluster"]
      : [],
  CreateTopicCommand: topicCommand("kafka:CreateTopic"),
  DescribeTopicCommand: topicCommand("kafka:DescribeTopic"),
  UpdateTopicCommand: topicCommand("kafka:UpdateTopic", "kafka-cluster:AlterTopic"),
};

/** AWS asks for its own action on the cluster and on the topic, and for Kafka's on the topic. */
function topicCommand(action: string, ofKafka?: string) {
  return (stage: Stage, component: string): readonly string[] => {
    if (stage.environmentOf(component).KAFKA_TOPIC_API !== "msk") return [];
    const topics = topicsOf(stage);
    return [
      ...["the cluster", ...topics].map((resource) => `${action} → ${resource}`),
      ...topics.flatMap((topic) => (ofKafka === undefined ? [] : [`${ofKafka} → ${topic}`])),
    ];
  };
}

function neededBy(entry: FunctionEntry, stage: Stage, reach: Reach): ReadonlySet<string> {
  const component = componentName(entry);
  const needed = new Set<string>();
  for (const command of reach.commands) {
    const needs = COMMAND_NEEDS[command];
    if (needs === undefined) throw new Error(`nobody says here what ${command} needs`);
    for (const permission of needs(stage, component)) needed.add(permission);
  }
  if (stage.linksOf(component).Kafka?.kind === "iam")
    for (const permission of kafkaNeeds(reach, stage)) needed.add(permission);
  for (const permission of triggerNeeds(entry, stage)) needed.add(permission);
  return needed;
}

function kafkaNeeds({ kafka }: Reach, stage: Stage): readonly string[] {
  return [...kafka].flatMap((use) => {
    if (use === "groups" || use === "grow") throw new Error(`nobody says here what "${use}" needs`);
    const { cluster, topics } = KAFKA_NEEDS[use];
    const names = use === "administer" ? topicsOf(stage) : ["topic events"];
    return [
      ...["Connect", ...cluster].map((verb) => `kafka-cluster:${verb} → the cluster`),
      ...names.flatMap((name) => topics.map((verb) => `kafka-cluster:${verb} → ${name}`)),
    ];
  });
}

const topicsOf = (stage: Stage): string[] => {
  const { TOPICS = "[]" } = stage.environmentOf("DeployPrepareStage");
  return (JSON.parse(TOPICS) as { name: string }[]).map(({ name }) => `topic ${name}`);
};

/** What Lambda does in the function's name. */
function triggerNeeds({ file, trigger }: FunctionEntry, stage: Stage): readonly string[] {
  if (trigger.kind === "cron") return ["sqs:SendMessage → queue MissedRuns"];
  if (trigger.kind !== "kafka") return [];
  if (stage.ofType("aws:secretsmanager/secret:Secret").some(({ name }) => name === "KafkaLogin"))
    return ["secretsmanager:GetSecretValue → secret KafkaLogin"];
  const on = (name: string, ...verbs: readonly string[]) =>
    verbs.map((verb) => `kafka-cluster:${verb} → ${name}`);
  return [
    ...on("the cluster", "Connect", "DescribeCluster", "DescribeClusterDynamicConfiguration"),
    ...on(`topic ${trigger.topic}`, "DescribeTopic", "ReadData"),
    ...on(`topic ${trigger.onFailureTopic}`, "DescribeTopic", "ReadData", "WriteData"),
    ...on(`group headrace-test-${file.replace("/", "-")}`, "AlterGroup", "DescribeGroup"),
    ...["DescribeCluster", "DescribeClusterV2", "GetBootstrapBrokers"].map(
      (verb) => `kafka:${verb} → the cluster`,
    ),
    ...["DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"].map(
      (verb) => `ec2:${verb} → anything`,
    ),
  ];
}

test("the schedules of the table are those of the manifest", () => {
  const scheduled = functionsOf("cron").filter(({ trigger }) => trigger.every >= 60);
  expect(Object.keys(schedules).toSorted()).toEqual(
    scheduled.map((entry) => `${componentName(entry)}Schedule`).toSorted(),
  );
});
