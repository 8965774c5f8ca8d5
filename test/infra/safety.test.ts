/** What nobody may reach, what is encrypted, and what outlives a stage that is removed. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Settings } from "../../infra/settings.ts";
import { appOf } from "./bundle-config.ts";
import { EVALUATION_MS, evaluate } from "./evaluate.ts";
import { settingsFor } from "./settings.ts";
import type { Stage } from "./stage.ts";

const INSTANCE = "aws:rds/instance:Instance";
const CLUSTER = "aws:rds/cluster:Cluster";
const GROUP = "aws:ec2/securityGroup:SecurityGroup";

interface Case {
  readonly name: string;
  readonly settings: Settings;
}

const cases: readonly Case[] = [
  { name: "RDS and MSK Serverless", settings: settingsFor("standard") },
  {
    name: "RDS in two zones and MSK Express",
    settings: settingsFor("large"),
  },
  {
    name: "Aurora and MSK with its own brokers",
    settings: settingsFor("standard", {
      database: { kind: "aurora" },
      kafka: { kind: "msk-provisioned" },
    }),
  },
];

describe.each(cases)("$name, in production", ({ settings }) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await evaluate({ settings, stage: "production" });
  }, EVALUATION_MS);

  const parametersOf = (): ReadonlyMap<string, string> => {
    const [group] = [
      ...stage.ofType("aws:rds/clusterParameterGroup:ClusterParameterGroup"),
      ...stage.ofType("aws:rds/parameterGroup:ParameterGroup"),
    ];
    const parameters = (group?.inputs.parameters ?? []) as { name: string; value: string }[];
    return new Map(parameters.map(({ name, value }) => [name, value]));
  };

  test("no database is public, and every one is encrypted and speaks TLS alone", () => {
    const servers = [
      ...stage.ofType(INSTANCE),
      ...stage.ofType("aws:rds/clusterInstance:ClusterInstance"),
    ];
    expect(servers.length).toBeGreaterThan(0);
    for (const { inputs } of servers) expect(inputs.publiclyAccessible).toBe(false);
    for (const { inputs } of [...stage.ofType(INSTANCE), ...stage.ofType(CLUSTER)]) {
      expect(inputs.storageEncrypted).toBe(true);
      expect(inputs.vpcSecurityGroupIds).toEqual(["NetworkDatabase-id"]);
    }
    for (const { inputs } of stage.ofType("aws:rds/proxy:Proxy")) {
      expect(inputs).toMatchObject({
        requireTls: true,
        vpcSecurityGroupIds: ["NetworkDatabaseProxy-id"],
      });
      for (const auth of inputs.auths)
        expect(auth.clientPasswordAuthType).toBe("POSTGRES_SCRAM_SHA_256");
    }
    expect(parametersOf().get("rds.force_ssl")).toBe("1");
  });

  test("the server's settings are those of every Headrace server", () => {
    const parameters = parametersOf();
    expect(parameters.get("jit")).toBe("0");
    expect(parameters.get("temp_file_limit")).toBe(String(2 * 1024 * 1024));
    expect(Number(parameters.get("max_connections"))).toBeGreaterThan(100);
  });

  test("no broker is public, and every one speaks TLS alone to those that sign in by IAM", () => {
    for (const { inputs } of stage.ofType("aws:msk/serverlessCluster:ServerlessCluster"))
      expect(inputs).toMatchObject({
        clientAuthentication: { sasl: { iam: { enabled: true } } },
        vpcConfigs: [{ securityGroupIds: ["NetworkKafka-id"] }],
      });
    for (const { inputs } of stage.ofType("aws:msk/cluster:Cluster"))
      expect(inputs).toMatchObject({
        brokerNodeGroupInfo: {
          connectivityInfo: { publicAccess: { type: "DISABLED" } },
          securityGroups: ["NetworkKafka-id"],
        },
        clientAuthentication: { sasl: { iam: true }, unauthenticated: false },
        encryptionInfo: { encryptionInTransit: { clientBroker: "TLS", inCluster: true } },
      });
    for (const { inputs } of stage.ofType("aws:msk/configuration:Configuration"))
      expect(inputs.serverProperties).toContain("auto.create.topics.enable=false");
  });

  test("nothing is let in from outside of the network", () => {
    for (const { name, inputs } of stage.ofType(GROUP))
      for (const rule of inputs.ingress) {
        expect([name, rule.cidrBlocks ?? []]).toEqual([
          name,
          name === "NetworkNatInstanceSecurityGroup" ? ["10.0.0.0/16"] : [],
        ]);
        expect(rule.self === true || rule.securityGroups?.length > 0 || name.includes("Nat")).toBe(
          true,
        );
      }
    const standard = stage.the("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup");
    expect(standard.inputs).toMatchObject({ ingress: [], egress: [] });
  });

  test("groups let through only what talks", () => {
    const groups = Object.fromEntries(
      stage
        .ofType(GROUP)
        .filter(({ name }) => !name.includes("Nat"))
        .map(({ name, inputs }) => [
          name,
          {
            in: inputs.ingress.map((rule: Rule) => `${rule.fromPort} from ${sourceOf(rule)}`),
            out: inputs.egress.map((rule: Rule) => `${rule.fromPort} to ${sourceOf(rule)}`),
          },
        ]),
    );
    const hasProxy = stage.ofType("aws:rds/proxy:Proxy").length > 0;
    expect(groups).toEqual({
      NetworkFunctions: {
        in: [],
        out: ["443 to 0.0.0.0/0", "5432 to 10.0.0.0/16", "9098 to 10.0.0.0/16"],
      },
      ...(hasProxy
        ? {
            NetworkDatabaseProxy: {
              in: ["5432 from NetworkFunctions-id"],
              out: ["5432 to 10.0.0.0/16"],
            },
          }
        : {}),
      NetworkDatabase: {
        in: [`5432 from NetworkFunctions-id${hasProxy ? ",NetworkDatabaseProxy-id" : ""}`],
        out: [],
      },
      NetworkKafka: {
        in: ["9098 from NetworkFunctions-id", "9098 from itself"],
        out: ["9098 to itself"],
      },
    });
  });

  test("every function is in private subnets, in the functions' own group", () => {
    for (const { inputs } of stage.functions.values()) {
      expect(inputs.vpcConfig.securityGroupIds).toEqual(["NetworkFunctions-id"]);
      for (const subnet of inputs.vpcConfig.subnetIds)
        expect(subnet).toMatch(/^NetworkPrivateSubnet/);
    }
  });

  test("what holds data stays when the stage is removed", () => {
    const holders = stage.resources.filter(({ type }) =>
      [
        INSTANCE,
        CLUSTER,
        "aws:msk/serverlessCluster:ServerlessCluster",
        "aws:msk/cluster:Cluster",
      ].includes(type),
    );
    expect(holders.length).toBeGreaterThan(1);
    for (const { name, retainOnDelete } of holders)
      expect([name, retainOnDelete]).toEqual([name, true]);
    for (const { inputs } of holders.filter(({ name }) =>
      /^Database(Instance|Cluster)$/.test(name),
    ))
      expect(inputs.deletionProtection).toBe(true);
    expect(stage.outputs).toMatchObject({ _protect: true });
  });
});

interface Rule {
  readonly fromPort: number;
  readonly self?: boolean;
  readonly cidrBlocks?: readonly string[];
  readonly securityGroups?: readonly string[];
}

const sourceOf = ({ self, cidrBlocks = [], securityGroups = [] }: Rule): string =>
  self ? "itself" : [...cidrBlocks, ...securityGroups].join(",");

test(
  "another stage than production leaves nothing behind",
  async () => {
    const stage = await evaluate({ settings: settingsFor("standard") });
    expect(
      stage.resources
        .filter(({ type, retainOnDelete }) => retainOnDelete && !type.startsWith("aws:s3"))
        .map(({ name }) => name),
    ).toEqual([]);
    expect(stage.the(INSTANCE).inputs.deletionProtection).toBe(false);
  },
  EVALUATION_MS,
);

test("only production is protected, and keeps what holds data", async () => {
  const settings = settingsFor("standard", { region: "eu-north-1" });
  const common = { name: "headrace", home: "aws", providers: { aws: { region: "eu-north-1" } } };
  expect(await appOf({ settings, stage: "production" })).toMatchObject({
    ...common,
    removal: "retain",
    protect: true,
  });
  expect(await appOf({ settings, stage: "test" })).toMatchObject({
    ...common,
    removal: "remove",
    protect: false,
  });
});

test("a region that is none of ours is refused before AWS is asked for anything", async () => {
  const settings = settingsFor("standard", { region: "mars-north-1" as never });
  await expect(appOf({ settings, stage: "test" })).rejects.toThrow(
    /stage "test" .*:\n {2}region: must be one of us-east-1, /,
  );
});
