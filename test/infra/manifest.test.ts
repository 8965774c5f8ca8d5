/** Every entry of the manifest becomes its resources, and nothing else does, in stages of each size. */
import { maxConnections } from "@headrace/capacity";
import { beforeAll, describe, expect, test } from "vitest";
import { type FunctionEntry, functions, functionsOf } from "../../functions/manifest.ts";
import { componentName } from "../../infra/component-name.ts";
import { resolveStage } from "../../infra/stage.ts";
import { EVALUATION_MS, evaluate } from "./evaluate.ts";
import { settingsFor } from "./settings.ts";
import type { MadeResource, Stage } from "./stage.ts";

const FUNCTION = "aws:lambda/function:Function";
const MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping";
const SCHEDULE = "aws:scheduler/schedule:Schedule";
const ROUTE = "aws:apigatewayv2/route:Route";

const isFast = ({ trigger }: FunctionEntry): boolean =>
  trigger.kind === "cron" && trigger.every < 60;
const names = (entries: readonly FunctionEntry[]): string[] =>
  entries.map(componentName).toSorted();
const [ingest] = functionsOf("kafka");
if (ingest === undefined) throw new Error("the manifest has no Kafka function");

describe.each(["starter", "standard", "large"] as const)("size %s", (size) => {
  const settings = resolveStage("test", { settings: settingsFor(size) });
  let stage: Stage;

  beforeAll(async () => {
    stage = await evaluate({ settings: settingsFor(size) });
  }, EVALUATION_MS);

  const routeOf = (key: string): MadeResource | undefined =>
    stage.ofType(ROUTE).find(({ inputs }) => inputs.routeKey === key);

  test("there is one function for each entry that pulse does not run", () => {
    const expected = functions.filter((entry) => !isFast(entry));
    expect([...stage.functions.keys()].toSorted()).toEqual(names(expected));
  });

  test.each(functions.filter((entry) => !isFast(entry)))("$file is made as it says", (entry) => {
    const { inputs } = stage.the(FUNCTION, `${componentName(entry)}Function`);
    expect(inputs).toMatchObject({
      runtime: "nodejs24.x",
      architectures: ["arm64"],
      timeout: entry.timeoutSeconds,
      memorySize: entry.memoryMegabytes,
      loggingConfig: { logFormat: "Text" },
    });
    expect(inputs.tracingConfig).toBe(undefined);
    const logs = stage.the("aws:cloudwatch/logGroup:LogGroup", `${componentName(entry)}LogGroup`);
    expect(logs.inputs.retentionInDays).toBe(30);
  });

  test("each Kafka function has its mapping, each scheduled one its schedule", () => {
    const mapped = stage.ofType(MAPPING).map(({ name }) => name.replace(/Mapping$/, ""));
    expect(mapped.toSorted()).toEqual(names(functionsOf("kafka")));
    const scheduled = stage.ofType(SCHEDULE).map(({ name }) => name.replace(/(Schedule)+$/, ""));
    expect(scheduled.toSorted()).toEqual(
      names(functionsOf("cron").filter((entry) => !isFast(entry))),
    );
  });

  test("each route leads to its function and asks for its scope", () => {
    const routes = functionsOf("http").flatMap((entry) =>
      entry.trigger.routes.map((route) => ({ ...route, entry })),
    );
    expect(stage.ofType(ROUTE).map(({ inputs }) => inputs.routeKey)).toHaveLength(routes.length);
    for (const { method, path, scope, entry } of routes) {
      const route = routeOf(`${method} ${path}`);
      expect(route?.inputs).toMatchObject(
        scope === "public"
          ? { authorizationType: "NONE" }
          : { authorizationType: "JWT", authorizationScopes: [scope] },
      );
      const integration = stage
        .ofType("aws:apigatewayv2/integration:Integration")
        .find(({ name }) => name === route?.name.replace(/Route$/, "Integration"));
      expect(integration?.inputs).toMatchObject({
        integrationUri: expect.stringContaining(`-${componentName(entry)}Function-`),
        payloadFormatVersion: "2.0",
      });
    }
  });

  test("tokens are checked by the gateway as the functions check them", () => {
    const { inputs } = stage.the("aws:apigatewayv2/authorizer:Authorizer");
    const { issuer, audience } = settings.auth;
    expect(inputs.jwtConfiguration).toEqual({ issuer, audiences: [audience] });
    expect(stage.environmentOf("HttpReports")).toMatchObject({
      AUTH_ISSUER: issuer,
      AUTH_AUDIENCE: audience,
      AUTH_JWKS_URL: settings.auth.jwksUrl,
    });
  });

  test("the gateway limits rates, answers no other page, and logs nobody's address or name", () => {
    expect(stage.the("aws:apigatewayv2/api:Api").inputs.corsConfiguration ?? {}).toEqual({});
    const { inputs } = stage.the("aws:apigatewayv2/stage:Stage");
    expect(inputs.defaultRouteSettings).toEqual({
      throttlingRateLimit: settings.http.ratePerSecond,
      throttlingBurstLimit: settings.http.burst,
    });
    expect(inputs.accessLogSettings.format).not.toMatch(
      /identity|sourceIp|userAgent|\.path|authorizer|protocol/,
    );
    expect(inputs.accessLogSettings.format).toMatch(/requestId.*routeKey.*status/);
  });

  test("a schedule that cannot start its function, and a run that failed, leave a message", () => {
    const queue = stage.the("aws:sqs/queue:Queue");
    expect(queue.inputs).toMatchObject({
      sqsManagedSseEnabled: true,
      messageRetentionSeconds: 1_209_600,
    });
    for (const { inputs } of stage.ofType(SCHEDULE))
      expect(inputs).toMatchObject({
        flexibleTimeWindow: { mode: "OFF" },
        target: {
          retryPolicy: { maximumRetryAttempts: 5 },
          deadLetterConfig: { arn: expect.stringContaining(queue.name) },
        },
      });
    const invokes = stage.ofType("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig");
    expect(invokes).toHaveLength(stage.ofType(SCHEDULE).length);
    for (const { inputs } of invokes)
      expect(inputs).toMatchObject({
        destinationConfig: { onFailure: { destination: expect.stringContaining(queue.name) } },
      });
  });

  test("every function is told its stage, and only what it needs beside", () => {
    for (const component of stage.functions.keys()) {
      const { SST_KEY, SST_KEY_FILE, SST_RESOURCE_App, ...own } = stage.environmentOf(component);
      expect(own).toMatchObject({
        HEADRACE_STAGE: "test",
        HEADRACE_SIZE: size,
        LOG_LEVEL: "info",
        EVENTS_TOPIC: ingest.trigger.topic,
        EVENT_HORIZON_DAYS: "400",
      });
      // Secrets come by links, which are encrypted; this is readable to whoever may look at functions.
      expect(JSON.stringify(own)).not.toMatch(/password|s3cret|postgresql:/);
      expect("AUTH_ISSUER" in own).toBe(component.startsWith("Http"));
      expect("KAFKA_FAILURES" in own).toBe(component.startsWith("Kafka"));
      expect("TOPICS" in own).toBe(component.startsWith("Deploy"));
      expect("RAW_RETENTION_DAYS" in own).toBe(component.startsWith("Deploy"));
      expect(own.MAX_CONNECTIONS).toBe(
        component.startsWith("Deploy") && settings.database.kind !== "neon"
          ? String(maxConnections(size))
          : undefined,
      );
    }
  });

  test("every function is linked to its own databases and to Kafka, and to nothing else", () => {
    for (const entry of functions.filter((each) => !isFast(each))) {
      const titled = entry.pools.map((pool) => `${pool[0]?.toUpperCase()}${pool.slice(1)}`);
      const pooled = entry.trigger.kind === "http" ? "Pooled" : "";
      const databases =
        entry.trigger.kind === "deploy"
          ? ["DatabaseOwner", "DatabaseWorker", "DatabaseOrders", "DatabaseReports"]
          : titled.map((pool) => `Database${pool}${pooled}`);
      const wakes = entry.wakesPulse && settings.databaseSleeps;
      expect(Object.keys(stage.linksOf(componentName(entry))).toSorted()).toEqual(
        [
          ...databases,
          ...(entry.kafka.length > 0 ? ["Kafka"] : []),
          ...(wakes ? ["Pulse"] : []),
        ].toSorted(),
      );
    }
  });

  test("the Kafka client is installed beside the bundle where it is used", () => {
    for (const entry of functions.filter((each) => !isFast(each))) {
      const { properties } = stage.buildOf(componentName(entry));
      const installed = Object.keys(properties.install ?? {});
      expect(installed).toEqual(entry.kafka.length > 0 ? ["@platformatic/wasm-utils"] : []);
    }
  });

  test("nothing of a release serves before migrations, roles and topics are in place", () => {
    const [release] = stage.ofType("aws:lambda/invocation:Invocation");
    if (release === undefined) throw new Error("the stage has no invocation of its release");
    expect(JSON.parse(release.inputs.input)).toEqual({
      release: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    // Another database or Kafka has nothing yet, whatever the release.
    expect(release.inputs.triggers).toMatchObject({
      place: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    for (const each of [
      ...[...stage.functions]
        .filter(([name]) => !name.startsWith("Deploy"))
        .map(([, made]) => made),
      ...stage.ofType(MAPPING),
      ...stage.ofType(SCHEDULE),
      ...stage.ofType(ROUTE),
    ])
      expect([each.name, stage.waitsFor(each, release)]).toEqual([each.name, true]);
  });

  test("the release waits for a database and a Kafka that can be used", () => {
    const [release] = stage.ofType("aws:lambda/invocation:Invocation");
    if (release === undefined) throw new Error("the stage has no invocation of its release");
    const needed = stage.resources.filter(({ type }) =>
      /^aws:(?:msk\/(?:serverlessCluster|cluster):|rds\/(?!clusterParameterGroup|parameterGroup)|secretsmanager\/secretVersion:)/.test(
        type,
      ),
    );
    expect(needed).not.toEqual([]);
    for (const each of needed)
      expect([each.name, stage.waitsFor(release, each)]).toEqual([each.name, true]);
  });

  test("the release makes every topic that the functions name", () => {
    const [entry] = functionsOf("deploy");
    if (entry === undefined) throw new Error("the manifest has no function for a deploy");
    const topics = JSON.parse(stage.environmentOf(componentName(entry)).TOPICS ?? "[]");
    const week = { "retention.ms": "604800000" };
    const copies = size === "starter" ? {} : { replication: 3 };
    expect(topics).toEqual([
      {
        name: "events",
        partitions: settings.events.partitions,
        ...copies,
        configs: { ...week, "message.timestamp.type": "LogAppendTime" },
      },
      { name: "events.failed", partitions: 1, ...copies, configs: week },
    ]);
    expect(stage.buildOf(componentName(entry)).copyFiles).toEqual([
      { from: expect.stringMatching(/packages\/db\/migrations$/), to: "migrations", isDir: true },
    ]);
  });

  test("its resources are these", async () => {
    const families = new Map<string, string[]>();
    for (const { type, name } of stage.resources.filter((each) => isOfItsOwn(each.type))) {
      const family = type.replace(/^(\w+):(\w+)\/.*:(\w+)$/, "$1 $2 $3");
      families.set(family, [...(families.get(family) ?? []), `  ${name}\n`]);
    }
    const text = [...families]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([family, made]) => `${family}\n${made.toSorted().join("")}`);
    await expect(text.join("")).toMatchFileSnapshot(`resources/${size}.txt`);
  });
});

/** Not a part of another that is always made with it. */
const isOfItsOwn = (type: string): boolean =>
  /^(aws|random):/.test(type) &&
  !/:(Integration|Permission|LogGroup|BucketObjectv2|SecretVersion|RouteTable|RouteTableAssociation|EipAssociation|ProxyTarget)$/.test(
    type,
  );
