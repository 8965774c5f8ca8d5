/** The addresses that functions are given, by kind of database and by what starts them. */
import { describe, expect, test } from "vitest";
import type { Settings } from "../../infra/settings.ts";
import { EVALUATION_MS, evaluate, SECRETS } from "./evaluate.ts";
import { settingsFor } from "./settings.ts";

const cases: readonly (readonly [string, Settings, Expected])[] = [
  [
    "RDS",
    settingsFor("standard"),
    {
      host: "database.rds.test",
      pooledHost: "proxy.rds.test",
      through: "proxy",
      certificates: true,
    },
  ],
  [
    "RDS without a proxy",
    settingsFor("standard", { database: { kind: "rds", proxy: false } }),
    {
      host: "database.rds.test",
      pooledHost: "database.rds.test",
      through: "server",
      certificates: true,
    },
  ],
  [
    "Aurora",
    settingsFor("standard", { database: { kind: "aurora" } }),
    {
      host: "cluster.rds.test",
      pooledHost: "cluster.rds.test",
      through: "server",
      certificates: true,
    },
  ],
  [
    "Neon",
    settingsFor("starter"),
    {
      host: "ep-cool-sea-123456.eu-central-1.aws.neon.tech",
      pooledHost: "ep-cool-sea-123456-pooler.eu-central-1.aws.neon.tech",
      through: "pooler",
      certificates: false,
    },
  ],
];

interface Expected {
  readonly host: string;
  readonly pooledHost: string;
  readonly through: string;
  readonly certificates: boolean;
}

test.each(cases)(
  "%s: Kafka and cron functions connect straight, HTTP functions through what there is",
  async (_, settings, { host, pooledHost, through, certificates }) => {
    const stage = await evaluate({ settings });
    const [release] = stage.ofType("aws:lambda/invocation:Invocation");
    if (release === undefined) throw new Error("the stage has no invocation of its release");
    // A cluster or a proxy has its name before anything answers to it.
    const servers = stage.resources.filter(({ type }) =>
      /^aws:rds\/(?:clusterInstance|instance|proxyTarget):/.test(type),
    );
    for (const server of servers)
      expect([server.name, stage.waitsFor(release, server)]).toEqual([server.name, true]);
    const direct = stage.linksOf("KafkaIngestEvents").DatabaseWorker;
    expect(direct).toMatchObject({ through: "server" });
    expect(new URL(String(direct?.url))).toMatchObject({
      host: `${host}:5432`,
      username: "headrace_worker",
      password: "password-of-DatabasePasswordWorker",
      search: "?sslmode=verify-full",
    });
    const pooled = stage.linksOf("HttpReports").DatabaseReportsPooled;
    expect(pooled).toMatchObject({ through });
    expect(new URL(String(pooled?.url))).toMatchObject({
      hostname: pooledHost,
      username: "headrace_reports",
      password: "password-of-DatabasePasswordReports",
    });
    expect("NODE_EXTRA_CA_CERTS" in stage.environmentOf("KafkaIngestEvents")).toBe(certificates);
  },
  EVALUATION_MS,
);

test.each(cases)(
  "%s: a deploy expects as many connections as the server's parameters ask for",
  async (_, settings, { certificates }) => {
    const stage = await evaluate({ settings });
    const asked = stage.resources
      .filter(({ type }) => /^aws:rds\/(?:clusterParameterGroup|parameterGroup):/.test(type))
      .flatMap(({ inputs }) => inputs.parameters as { name: string; value: string }[])
      .filter(({ name }) => name === "max_connections")
      .map(({ value }) => value);
    // Whose server is not ours has no such parameters.
    expect(asked).toHaveLength(certificates ? 1 : 0);
    expect(stage.environmentOf("DeployPrepareStage").MAX_CONNECTIONS).toBe(asked[0]);
  },
  EVALUATION_MS,
);

test(
  "without a proxy, HTTP functions are bounded by their role's connections",
  async () => {
    const database = { kind: "rds", proxy: false } as const;
    const stage = await evaluate({ settings: settingsFor("standard", { database }) });
    const reservedOf = (component: string) =>
      stage.functions.get(component)?.inputs.reservedConcurrentExecutions;
    // 12 sessions of readers for three of them, a third of 50 writers' for four, 2 for each invocation.
    for (const name of [
      "HttpReports",
      "HttpUsers",
      "HttpDimensions",
      "HttpJoins",
      "HttpOperations",
    ])
      expect([name, reservedOf(name)]).toEqual([name, 2]);
    expect(reservedOf("HttpCollect")).toBe(undefined);
  },
  EVALUATION_MS,
);

test(
  "through a proxy, HTTP functions are bounded too: it opens one session for each that runs",
  async () => {
    const stage = await evaluate({ settings: settingsFor("large") });
    const reserved = [...stage.functions].flatMap(([name, { inputs }]) =>
      inputs.reservedConcurrentExecutions === undefined
        ? []
        : [[name, inputs.reservedConcurrentExecutions]],
    );
    expect(Object.fromEntries(reserved)).toEqual({
      KafkaIngestEvents: 20,
      CronPulse: 2,
      CronMaintainPartitions: 1,
      CronAudit: 1,
      HttpReports: 6,
      HttpUsers: 6,
      HttpDimensions: 6,
      HttpJoins: 6,
      HttpOperations: 6,
    });
    expect(
      stage.the("aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup").inputs,
    ).toMatchObject({
      connectionPoolConfig: { connectionBorrowTimeout: 2, maxConnectionsPercent: 70 },
    });
  },
  EVALUATION_MS,
);

test(
  "another database is prepared anew, though the release is the same",
  async () => {
    const settings = settingsFor("starter");
    const other = SECRETS.DatabaseUrl.replace("ep-cool-sea", "ep-warm-lake");
    const stages = [
      await evaluate({ settings }),
      await evaluate({ settings, secrets: { ...SECRETS, DatabaseUrl: other } }),
    ];
    const [first, second] = stages.map(
      (stage) => stage.the("aws:lambda/invocation:Invocation").inputs.triggers,
    );
    expect(second.release).toBe(first.release);
    expect(second.place).not.toBe(first.place);
  },
  EVALUATION_MS,
);

test(
  "how long raw events are kept is told to the deploy, and a change of it is prepared",
  async () => {
    const stages = [
      await evaluate({ settings: settingsFor("starter") }),
      await evaluate({ settings: settingsFor("starter", { events: { rawRetentionDays: 800 } }) }),
    ];
    const told = stages.map(
      (stage) => stage.environmentOf("DeployPrepareStage").RAW_RETENTION_DAYS,
    );
    expect(told).toEqual(["400", "800"]);
    const [before, after] = stages.map(
      (stage) => stage.the("aws:lambda/invocation:Invocation").inputs.triggers.release,
    );
    expect(after).not.toBe(before);
  },
  EVALUATION_MS,
);

describe("a secret that is missing or wrong is named, and its value is not told", () => {
  const evaluated = (secrets: Partial<Record<keyof typeof SECRETS, string>>) =>
    evaluate({ settings: settingsFor("starter"), secrets: secrets as Record<string, string> });
  const { DatabaseUrl, ...kafkaSecrets } = SECRETS;

  test(
    "missing",
    async () => {
      await expect(evaluated(kafkaSecrets)).rejects.toThrow(
        "Set a value for DatabaseUrl with `sst secret set DatabaseUrl <value>`",
      );
    },
    EVALUATION_MS,
  );

  test(
    "the pooler's address",
    async () => {
      const pooler = DatabaseUrl.replace("-123456.", "-123456-pooler.");
      await expect(evaluated({ ...kafkaSecrets, DatabaseUrl: pooler })).rejects.toThrow(
        /^The secret DatabaseUrl is the pooler's address: set it to the direct one, without -pooler$/,
      );
    },
    EVALUATION_MS,
  );

  test(
    "no address at all",
    async () => {
      await expect(evaluated({ ...kafkaSecrets, DatabaseUrl: "s3cret" })).rejects.toThrow(
        /^The secret DatabaseUrl is no PostgreSQL address: (?!.*s3cret)/,
      );
    },
    EVALUATION_MS,
  );
});
