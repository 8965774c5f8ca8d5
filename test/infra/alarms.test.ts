/** Who is told of what: every alarm of every size watches a figure that somebody really writes. */
import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import { METRIC_NAMESPACE, METRIC_UNITS } from "@headrace/handler";
import { beforeAll, describe, expect, test } from "vitest";
import { functions } from "../../functions/manifest.ts";
import { componentName } from "../../infra/component-name.ts";
import type { Settings, Size } from "../../infra/settings.ts";
import { ROOT } from "./bundle-config.ts";
import { EVALUATION_MS, evaluate } from "./evaluate.ts";
import { settingsFor } from "./settings.ts";
import type { MadeResource, Stage } from "./stage.ts";

const ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm";
const DASHBOARD = "aws:cloudwatch/dashboard:Dashboard";

interface Case {
  readonly name: string;
  readonly size: Size;
  readonly changes?: Partial<Settings>;
  /** Beside those that every stage has. */
  readonly alarms: readonly string[];
}

const ofFunctions = functions
  .filter(
    ({ trigger }) => trigger.kind !== "deploy" && !(trigger.kind === "cron" && trigger.every < 60),
  )
  .flatMap((entry) => [`${componentName(entry)}Errors`, `${componentName(entry)}Throttles`]);

const everywhere = [
  "Api5xx",
  "AuditDifferences",
  "CronFailures",
  "DeadLetters",
  "FailedBatches",
  "FreshnessSeconds",
  "LostRecords",
  "MissedRuns",
  "OffsetLag",
  "OpenGaps",
  "XminAgeSeconds",
  ...ofFunctions,
];
const ofMappings = ["KafkaIngestEventsDropped", "KafkaIngestEventsOnFailureDestinationDelivered"];
const ofServers = ["DatabaseCPUUtilization", "DatabaseConnections", "DatabaseFreeableMemory"];
const ofSlots = ["DatabaseOldestLogicalReplicationSlotLag", "DatabaseOldestReplicationSlotLag"];
const rds = [...ofServers, ...ofSlots, "DatabaseFreeStorageSpace"];
const aurora = [...ofServers, "DatabaseACUUtilization"];
const brokers = ["KafkaBroker1DiskUsed", "KafkaBroker2DiskUsed", "KafkaBroker3DiskUsed"];

const CASES: readonly Case[] = [
  { name: "starter", size: "starter", alarms: ["GaveUpRecords"] },
  { name: "standard", size: "standard", alarms: [...ofMappings, ...rds, "PulseSilent"] },
  { name: "large", size: "large", alarms: [...ofMappings, ...rds, "PulseSilent"] },
  {
    name: "standard on an Aurora that sleeps",
    size: "standard",
    changes: { database: { kind: "aurora" } },
    alarms: [...ofMappings, ...aurora],
  },
  {
    name: "large on an Aurora that does not",
    size: "large",
    changes: { database: { kind: "aurora" } },
    alarms: [...ofMappings, ...aurora, ...ofSlots, "PulseSilent"],
  },
  {
    name: "large on brokers with disks of their own",
    size: "large",
    changes: { kafka: { kind: "msk-provisioned", instance: "kafka.m7g.large" } },
    alarms: [...ofMappings, ...rds, ...brokers, "PulseSilent"],
  },
];

interface Watched {
  readonly dimension: string;
  readonly resource: string;
  readonly metrics: readonly string[];
  /** What tells its parts apart, and how many there are of them: 1, 2, … */
  readonly parts?: { readonly dimension: string; count(made: MadeResource): number };
}

/** Of AWS's own metrics, those that are watched, and what tells a stage's from another's. */
const OF_AWS: Readonly<Record<string, readonly Watched[]>> = {
  "AWS/Lambda": [
    {
      dimension: "FunctionName",
      resource: "aws:lambda/function:Function",
      metrics: ["Errors", "Throttles"],
    },
    {
      dimension: "EventSourceMappingUUID",
      resource: "aws:lambda/eventSourceMapping:EventSourceMapping",
      metrics: ["DroppedEventCount", "OnFailureDestinationDeliveredEventCount"],
    },
  ],
  "AWS/SQS": [
    {
      dimension: "QueueName",
      resource: "aws:sqs/queue:Queue",
      metrics: ["ApproximateNumberOfMessagesVisible"],
    },
  ],
  // As HTTP APIs count; REST ones say 5XXError.
  "AWS/ApiGateway": [
    {
      dimension: "ApiId",
      resource: "aws:apigatewayv2/api:Api",
      metrics: ["4xx", "5xx", "Count", "Latency"],
    },
  ],
  "AWS/RDS": [
    {
      dimension: "DBInstanceIdentifier",
      resource: "aws:rds/instance:Instance",
      metrics: [
        "CPUUtilization",
        "DatabaseConnections",
        "FreeStorageSpace",
        "FreeableMemory",
        "OldestLogicalReplicationSlotLag",
        "OldestReplicationSlotLag",
      ],
    },
    {
      dimension: "DBClusterIdentifier",
      resource: "aws:rds/cluster:Cluster",
      metrics: [
        "ACUUtilization",
        "CPUUtilization",
        "DatabaseConnections",
        "FreeableMemory",
        "OldestLogicalReplicationSlotLag",
        "OldestReplicationSlotLag",
      ],
    },
    {
      dimension: "ProxyName",
      resource: "aws:rds/proxy:Proxy",
      metrics: ["DatabaseConnectionsCurrentlyBorrowed"],
    },
  ],
  "AWS/Kafka": [
    {
      dimension: "Cluster Name",
      resource: "aws:msk/cluster:Cluster",
      metrics: ["KafkaDataLogsDiskUsed"],
      parts: { dimension: "Broker ID", count: ({ inputs }) => inputs.numberOfBrokerNodes },
    },
  ],
};

interface Metric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

describe.each(CASES)("$name", ({ size, changes, alarms: expected }) => {
  const { alarms: told } = settingsFor(size, changes);
  let stage: Stage;
  let alarms: readonly MadeResource[];

  beforeAll(async () => {
    stage = await evaluate({ settings: settingsFor(size, changes) });
    alarms = stage.ofType(ALARM);
  }, EVALUATION_MS);

  test("has an alarm for each thing that somebody has to be told of, and no other", () => {
    const names = alarms.map(({ name }) => name.replace(/^Alarm/, "")).toSorted();
    expect(names).toEqual([...everywhere, ...expected].toSorted());
  });

  test("watches only figures that are written, of resources that it has", () => {
    const wrong = [...alarms.map(metricOf), ...dashboardMetrics(stage)].filter(
      (metric) => !isWritten(metric, stage),
    );
    expect(wrong).toEqual([]);
  });

  test("tells one address, when something begins and when it is over", () => {
    const topic = stage.the("aws:sns/topic:Topic");
    for (const { inputs } of alarms) {
      const { alarmActions, okActions } = inputs as Record<string, string[]>;
      expect(alarmActions).toEqual([expect.stringMatching(/:sns:.*:Alarms$/)]);
      expect(okActions).toEqual(alarmActions);
    }
    expect(topic.inputs.kmsMasterKeyId).toEqual(
      size === "starter" ? undefined : expect.stringContaining(":kms:"),
    );
    expect(stage.the("aws:sns/topicSubscription:TopicSubscription").inputs).toMatchObject({
      protocol: "email",
      endpoint: told.email,
    });
  });

  test("says in each mail what has happened and where to look", () => {
    for (const { inputs } of alarms) {
      expect(inputs.alarmDescription).toMatch(/^[A-Z].{60,1000}\.$/);
      expect(inputs.name).toMatch(/^headrace-test-\w+$/);
    }
  });

  test("takes silence for a fault only of what must never be silent", () => {
    const breaching = alarms.filter(
      ({ inputs }) => String(inputs.treatMissingData) === "breaching",
    );
    expect(breaching.map(({ name }) => name)).toEqual(
      expected.includes("PulseSilent") ? ["AlarmPulseSilent"] : [],
    );
  });

  test("shows every alarm and everything that the functions write on its dashboard", () => {
    const { widgets } = dashboardOf(stage);
    const shown = widgets.find(({ type }) => type === "alarm")?.properties.alarms ?? [];
    expect(shown).toHaveLength(alarms.length);
    const own = dashboardMetrics(stage)
      .filter(({ namespace }) => namespace === METRIC_NAMESPACE)
      .map(({ name }) => name);
    const elsewhere = size === "starter" ? [] : ["GaveUpRecords"];
    expect([...new Set([...own, ...elsewhere])].toSorted()).toEqual(
      Object.keys(METRIC_UNITS).toSorted(),
    );
    expect(dashboardMetrics(stage).length).toBeLessThanOrEqual(FREE_METRICS);
  });

  test("mails before the budget is spent", () => {
    const { inputs } = stage.the("aws:budgets/budget:Budget");
    const notice = {
      comparisonOperator: "GREATER_THAN",
      thresholdType: "PERCENTAGE",
      subscriberEmailAddresses: [told.email],
    };
    expect(inputs).toMatchObject({
      budgetType: "COST",
      timeUnit: "MONTHLY",
      limitAmount: String(told.budgetDollars),
      limitUnit: "USD",
      notifications: [
        { ...notice, notificationType: "ACTUAL", threshold: 80 },
        { ...notice, notificationType: "FORECASTED", threshold: 100 },
      ],
    });
  });
});

test("a broker's disk is told of when it is four fifths full", {
  timeout: EVALUATION_MS,
}, async () => {
  const kafka = { kind: "msk-provisioned", instance: "kafka.m7g.large", brokers: 6 } as const;
  const stage = await evaluate({ settings: settingsFor("large", { kafka }) });
  const alarms = stage
    .ofType(ALARM)
    .filter(({ inputs }) => inputs.metricName === "KafkaDataLogsDiskUsed");
  expect(alarms.map(({ inputs }) => inputs)).toMatchObject(
    ["1", "2", "3", "4", "5", "6"].map((id) => ({
      namespace: "AWS/Kafka",
      dimensions: { "Cluster Name": "headrace-test", "Broker ID": id },
      statistic: "Maximum",
      comparisonOperator: "GreaterThanOrEqualToThreshold",
      threshold: 80,
    })),
  );
});

test(
  "nothing is watched or made of a stage that runs on this machine",
  async () => {
    const stage = await evaluate({ settings: settingsFor("standard"), dev: true });
    const watching = stage.resources.filter(({ type }) =>
      /^aws:(cloudwatch\/(metricAlarm|dashboard)|sns|budgets|kms)/.test(type),
    );
    expect(watching).toEqual([]);
  },
  EVALUATION_MS,
);

test.each(Object.keys(METRIC_UNITS))("somebody writes %s", async (name) => {
  const writers: string[] = [];
  for await (const path of glob(["functions/**/*.ts", "packages/*/src/**/*.ts"], { cwd: ROOT })) {
    if (path.endsWith("handler/src/metrics.ts")) continue;
    const text = await readFile(join(ROOT, path), "utf8");
    if (text.includes("recordMetrics(") && new RegExp(`\\b${name}[:,]`).test(text))
      writers.push(path);
  }
  expect(writers).not.toEqual([]);
});

/** More on one dashboard are paid for. */
const FREE_METRICS = 50;

function isWritten({ namespace, name, dimensions }: Metric, stage: Stage): boolean {
  if (namespace === METRIC_NAMESPACE)
    return name in METRIC_UNITS && JSON.stringify(dimensions) === JSON.stringify({ stage: "test" });
  return (OF_AWS[namespace] ?? []).some(
    ({ dimension, resource, metrics, parts }) =>
      metrics.includes(name) &&
      isSame(Object.keys(dimensions), parts ? [dimension, parts.dimension] : [dimension]) &&
      stage
        .ofType(resource)
        .filter((made) => identifies(dimensions[dimension] ?? "", made))
        .some((made) => parts === undefined || isPart(dimensions[parts.dimension], parts, made)),
  );
}

const isSame = (some: readonly string[], others: readonly string[]): boolean =>
  some.toSorted().join() === others.toSorted().join();

const isPart = (value: string | undefined, { count }: Parts, made: MadeResource): boolean =>
  Array.from({ length: count(made) }, (_, index) => String(index + 1)).includes(value ?? "");

type Parts = NonNullable<Watched["parts"]>;

/** AWS's dimensions name a resource by its name or its id, as the answers of test/infra/mock-aws.ts. */
const identifies = (value: string, { name, inputs }: MadeResource): boolean =>
  [
    inputs.name,
    inputs.clusterIdentifier,
    inputs.clusterName,
    name,
    `${name}-id`,
    `uuid-of-${name}`,
    name.toLowerCase(),
  ].some((each) => String(each) === value);

const metricOf = ({ inputs }: MadeResource): Metric => ({
  namespace: inputs.namespace ?? "",
  name: inputs.metricName ?? "",
  dimensions: inputs.dimensions ?? {},
});

interface Dashboard {
  readonly widgets: readonly {
    readonly type: string;
    readonly properties: {
      readonly alarms?: readonly string[];
      readonly metrics?: readonly (readonly (string | object)[])[];
    };
  }[];
}

const dashboardOf = (stage: Stage): Dashboard =>
  JSON.parse(stage.the(DASHBOARD).inputs.dashboardBody ?? "{}");

const dashboardMetrics = (stage: Stage): readonly Metric[] =>
  dashboardOf(stage)
    .widgets.flatMap(({ properties }) => properties.metrics ?? [])
    .map(([namespace, name, ...rest]) => {
      const pairs = rest.filter((each): each is string => typeof each === "string");
      const dimensions: Record<string, string> = {};
      for (let i = 0; i + 1 < pairs.length; i += 2) dimensions[pairs[i] ?? ""] = pairs[i + 1] ?? "";
      return { namespace: String(namespace), name: String(name), dimensions };
    });
