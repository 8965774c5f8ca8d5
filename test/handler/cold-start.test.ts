/** What a deployed function settles when its file is loaded: whether it can work, and its connections. */
import {
  closePools,
  cronHandler,
  forgetConfig,
  httpHandler,
  kafkaHandler,
  kafkaProducer,
  type Purpose,
  pool,
  pulseHandler,
  route,
} from "@headrace/handler";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { PULSE_SESSIONS } from "../../infra/connections.ts";
import { makeKeys } from "./serve.ts";

const { jwks } = await makeKeys();
const cron = { name: "c", run: async () => {} };
const http = (purpose: "orders" | "reports") =>
  httpHandler({ "GET /": route({ scope: "public", pool: purpose, answer: z.null() }, () => null) });

beforeEach(() => {
  vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "headrace-blue-Function");
  for (const purpose of ["WORKER", "ORDERS", "REPORTS", "OWNER"])
    vi.stubEnv(`DATABASE_${purpose}_URL`, `postgresql://${purpose.toLowerCase()}@db.test/headrace`);
  vi.stubEnv("KAFKA_BROKERS", "kafka.test:9092");
  forgetConfig();
});
afterEach(async () => {
  await closePools();
  vi.unstubAllEnvs();
  forgetConfig();
});

/** The rest of what `pool` was made with is the driver's. */
const maxOf = (purpose: Purpose): number => pool(purpose).options.max;

describe("a deployed function opens no more connections than one invocation uses at once", () => {
  test("a function of one purpose has one where its wrapper says nothing", () => {
    expect(maxOf("owner")).toBe(1);
  });

  test("a Kafka function has one for each partition that it takes in side by side", () => {
    kafkaHandler(async () => ({}));
    expect(maxOf("worker")).toBe(2);
  });

  test("an HTTP function has one more than the one request that it answers", () => {
    http("reports");
    http("orders");
    expect([maxOf("reports"), maxOf("orders")]).toEqual([2, 2]);
  });

  test("pulse has one for each cron and one for its own lease", () => {
    cronHandler(cron);
    pulseHandler([1, 2, 3].map((every) => ({ ...cron, every })));
    expect(maxOf("worker")).toBe(4);
  });

  test("the stage's own pulse has as many as the stage's sums are made with", async () => {
    // A process of its own, where no other wrapper has asked for more.
    vi.resetModules();
    await import("../../functions/cron/pulse.ts");
    const own = await import("@headrace/handler");
    onTestFinished(own.closePools);
    expect(own.pool("worker").options.max).toBe(PULSE_SESSIONS);
  });

  test("where all functions share a process its pools are sized for all", () => {
    vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "");
    forgetConfig();
    expect([maxOf("worker"), maxOf("orders"), maxOf("reports")]).toEqual([24, 32, 12]);
  });
});

describe("a deployed function that could not work fails when it is loaded", () => {
  const without = (name: string) => {
    vi.stubEnv(name, "");
    forgetConfig();
  };

  test.each([
    ["a Kafka function", () => kafkaHandler(async () => ({}))],
    ["a cron", () => cronHandler(cron)],
    ["pulse", () => pulseHandler([])],
  ])("without its database: %s", (_what, load) => {
    expect(load).not.toThrow();
    without("DATABASE_WORKER_URL");
    expect(load).toThrow("DATABASE_WORKER_URL is not set and");
  });

  test("without the database of one of its routes", () => {
    without("DATABASE_ORDERS_URL");
    expect(() => http("reports")).not.toThrow();
    expect(() => http("orders")).toThrow("DATABASE_ORDERS_URL is not set and");
  });

  test("without Kafka, when it produces", () => {
    expect(() => kafkaProducer("collect")).not.toThrow();
    without("KAFKA_BROKERS");
    expect(() => kafkaProducer("collect")).toThrow(
      "KAFKA_BROKERS is not set and Kafka is not linked: set it to a comma-separated list of host:port, or link Kafka to this function",
    );
  });

  test.each([
    ["a Kafka function", () => kafkaHandler(async () => ({}))],
    ["a cron", () => cronHandler(cron)],
    ["an HTTP function", () => http("reports")],
  ])("when it is told to believe the development issuer: %s", (_what, load) => {
    vi.stubEnv("AUTH_ISSUER", "urn:headrace:development");
    vi.stubEnv("AUTH_AUDIENCE", "headrace");
    vi.stubEnv("AUTH_JWKS", JSON.stringify(jwks));
    forgetConfig();
    expect(load).toThrow("AUTH_ISSUER names the development issuer");
  });
});

test("what is not deployed may be loaded before its environment is there", () => {
  vi.unstubAllEnvs();
  forgetConfig();
  expect(() => kafkaHandler(async () => ({}))).not.toThrow();
  expect(() => cronHandler(cron)).not.toThrow();
  expect(() => kafkaProducer("collect")).not.toThrow();
});
