import {
  createLogger,
  cronHandler,
  forgetConfig,
  httpHandler,
  type KafkaHandler,
  kafkaHandler,
  METRIC_UNITS,
  type MetricName,
  openPool,
  pulseHandler,
  recordMetrics,
  route,
  useLogger,
  useMetricSink,
} from "@headrace/handler";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { testDatabase } from "../support/database.ts";
import { isEmbeddedMetrics, readEmbeddedMetrics } from "../support/embedded-metrics.ts";
import { kafkaEvent } from "../support/kafka.ts";

const db = await testDatabase();
const context = { awsRequestId: "request-1", getRemainingTimeInMillis: () => 5_000 };

/** What this process wrote to standard output, line by line. */
let output: string[] = [];

beforeEach(() => {
  output = [];
  vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "headrace-blue-Function");
  vi.stubEnv("HEADRACE_STAGE", "blue");
  vi.stubEnv("LOG_LEVEL", "debug");
  vi.stubEnv("DATABASE_WORKER_URL", db.workerUrl);
  forgetConfig();
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output.push(...String(text).trimEnd().split("\n"));
    return true;
  });
  useLogger(createLogger({ level: "debug", deployed: true }));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  forgetConfig();
  useLogger(undefined);
  useMetricSink(undefined);
});

const metricLines = () => output.filter(isEmbeddedMetrics).map(readEmbeddedMetrics);
const pool = () => openPool(db.workerUrl, "worker", { maxConnections: 2 });

describe("metrics", () => {
  test("are one line of CloudWatch's embedded format, for the stage and for the topic", () => {
    recordMetrics({ EventsStored: 12, WatermarkLagSeconds: 5.25 }, { topic: "events" });
    expect(output).toHaveLength(1);
    expect(metricLines()).toEqual([
      {
        namespace: "Headrace",
        values: { EventsStored: "12", WatermarkLagSeconds: "5.25 Seconds" },
        dimensions: ["stage=blue", "stage=blue,topic=events"],
        requestId: undefined,
      },
    ]);
  });

  test("without a topic are the stage's alone", () => {
    recordMetrics({ OpenGaps: 0 });
    expect(metricLines()).toMatchObject([
      { dimensions: ["stage=blue"], values: { OpenGaps: "0" } },
    ]);
  });

  test("fit in one line all together", () => {
    const all = Object.keys(METRIC_UNITS).map((name, index) => [name as MetricName, index]);
    recordMetrics(Object.fromEntries(all), { topic: "t".repeat(249) });
    const [line] = metricLines();
    expect(Object.keys(line?.values ?? {})).toEqual(Object.keys(METRIC_UNITS));
  });

  test("that are no finite number are left out, and nothing is written when none is left", () => {
    recordMetrics({ OffsetLag: Number.NaN, OpenGaps: 1, XminAgeSeconds: Number.POSITIVE_INFINITY });
    expect(metricLines()).toMatchObject([{ values: { OpenGaps: "1" } }]);
    recordMetrics({ OffsetLag: Number.NaN });
    recordMetrics({});
    expect(output).toHaveLength(1);
  });

  test("are written by deployed functions and by nobody else", () => {
    vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "");
    forgetConfig();
    recordMetrics({ OpenGaps: 1 });
    expect(output).toEqual([]);
    const lines: string[] = [];
    useMetricSink((line) => lines.push(line));
    recordMetrics({ OpenGaps: 1 });
    expect(lines.map(readEmbeddedMetrics)).toMatchObject([{ values: { OpenGaps: "1" } }]);
  });
});

describe("a deployed function", () => {
  /** Fails the partition whose first record says so. */
  const kafka: KafkaHandler = kafkaHandler(
    async ({ records }) => {
      for (const { value } of records) if (`${value}` === "bad") throw new Error("no good");
      return { stored: 1 };
    },
    { pool },
  );

  test("counts each partition whose batch failed, with its topic", async () => {
    await kafka(kafkaEvent("events", { 0: ["good"], 1: ["bad"], 2: ["bad"] }) as never, context);
    expect(metricLines()).toEqual(
      [1, 2].map(() => ({
        namespace: "Headrace",
        values: { FailedBatches: "1" },
        dimensions: ["stage=blue", "stage=blue,topic=events"],
        requestId: "request-1",
      })),
    );
  });

  test("counts a cron's run that failed, and throws on what it threw", async () => {
    const open = pool();
    const fail = async () => {
      throw new Error("no good");
    };
    const cron = cronHandler({ name: "failing", run: fail }, { pool: () => open });
    await expect(cron({}, context)).rejects.toThrow("no good");
    expect(metricLines()).toMatchObject([
      { values: { CronFailures: "1" }, requestId: "request-1" },
    ]);
    await open.end();
  });

  test("counts each failed run of a cron inside pulse", async () => {
    const open = pool();
    const endsAt = performance.now() + 7_000;
    const run = async () => {
      throw new Error("no good");
    };
    const pulse = pulseHandler([{ name: "failing", every: 1, run }], { pool: () => open });
    await pulse(
      {},
      {
        awsRequestId: "request-2",
        getRemainingTimeInMillis: () => endsAt - performance.now(),
      },
    );
    const failures = metricLines().filter(({ values }) => values.CronFailures === "1");
    expect(failures.length).toBeGreaterThanOrEqual(1);
    expect(new Set(failures.map(({ requestId }) => requestId))).toEqual(new Set(["request-2"]));
    await open.end();
  });

  test("writes nothing but lines of one JSON object each, with the request's id", async () => {
    const open = openPool(db.workerUrl, "worker", { maxConnections: 1 });
    const { rows } = await open.query<{ pid: number }>("select pg_backend_pid() as pid");
    await kafka(kafkaEvent("events", { 0: ["good"], 1: ["bad"] }) as never, context);
    // What belongs to no request counts to the one that is served.
    await db.pool.query("select pg_terminate_backend($1, 5000)", [rows[0]?.pid]);
    await vi.waitFor(() => expect(open.totalCount).toBe(0));
    const http = httpHandler({
      "GET /": route({ scope: "public", answer: z.null() }, ({ log }) => {
        log.info("working\nin two lines");
        throw new Error("no good");
      }),
    });
    const event = {
      version: "2.0",
      routeKey: "GET /",
      rawPath: "/",
      rawQueryString: "",
      headers: {},
      requestContext: { requestId: "JKJaXmPLvHcESHA=", http: { method: "GET", path: "/" } },
      isBase64Encoded: false,
    } as const;
    const { headers } = await http(event);
    expect(headers["x-request-id"]).toBe("JKJaXmPLvHcESHA=");
    const lines = output.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ message, requestId }) => [requestId, message ?? "(metrics)"])).toEqual([
      ["request-1", "a batch was taken in"],
      ["request-1", "a batch failed and will come again"],
      ["request-1", "(metrics)"],
      ["request-1", "an idle database connection was lost"],
      ["JKJaXmPLvHcESHA=", "working\nin two lines"],
      ["JKJaXmPLvHcESHA=", "a request failed"],
    ]);
    await open.end();
  });
});
