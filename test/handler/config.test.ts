import { databaseAddress, readConfig } from "@headrace/handler";
import { describe, expect, test } from "vitest";
import { refusal } from "./refusal.ts";
import { makeKeys } from "./serve.ts";

const { jwks } = await makeKeys();
const auth = {
  AUTH_ISSUER: "https://issuer.test/",
  AUTH_AUDIENCE: "headrace",
  AUTH_JWKS: JSON.stringify(jwks),
};

describe("the environment", () => {
  test("that is empty has its defaults and nothing else", () => {
    expect(readConfig({})).toEqual({
      databases: {},
      kafka: undefined,
      pulseFunction: undefined,
      kafkaFailures: "report",
      kafkaTopicApi: "brokers",
      stage: "local",
      size: "local",
      eventsTopic: "events",
      eventHorizonDays: 400,
      auth: undefined,
      logLevel: "info",
      deployed: false,
      checkAnswers: false,
    });
  });

  test("is read whole; an empty value counts as absent", () => {
    const read = readConfig({
      ...auth,
      DATABASE_WORKER_URL: "postgresql://worker:pw@host:5432/db",
      DATABASE_REPORTS_URL: "postgres://reports@host/db?sslmode=require",
      DATABASE_ORDERS_URL: "",
      DATABASE_OWNER_URL: "postgresql://owner@host/db",
      KAFKA_BROKERS: "one:9092, two.example:9093,[::1]:9094",
      KAFKA_FAILURES: "throw",
      KAFKA_TOPIC_API: "msk",
      MAX_CONNECTIONS: "180",
      HEADRACE_STAGE: "production",
      HEADRACE_SIZE: "large",
      EVENTS_TOPIC: "shop.events",
      EVENT_HORIZON_DAYS: "3650",
      LOG_LEVEL: "debug",
      AWS_LAMBDA_FUNCTION_NAME: "report",
      NODE_ENV: "test",
      PATH: "/usr/bin",
    });
    expect(read).toMatchObject({
      databases: {
        worker: { url: "postgresql://worker:pw@host:5432/db", through: "server" },
        reports: { url: "postgres://reports@host/db?sslmode=require", through: "server" },
        owner: { url: "postgresql://owner@host/db", through: "server" },
      },
      kafka: { kind: "plain", brokers: ["one:9092", "two.example:9093", "[::1]:9094"] },
      kafkaFailures: "throw",
      kafkaTopicApi: "msk",
      serverConnections: 180,
      stage: "production",
      size: "large",
      eventsTopic: "shop.events",
      eventHorizonDays: 3650,
      logLevel: "debug",
      deployed: true,
      checkAnswers: true,
      auth: { issuer: "https://issuer.test/", audience: "headrace", keys: jwks },
    });
    expect(read.databases).not.toHaveProperty("orders");
  });

  test.each([
    ["DATABASE_WORKER_URL", "host/db-with-s3cret"],
    ["DATABASE_WORKER_URL", "postgresql://host-with-s3cret"],
    ["DATABASE_REPORTS_URL", "mysql://u:s3cret@host/db"],
    ["DATABASE_ORDERS_URL", "s3cret"],
    ["DATABASE_OWNER_URL", "s3cret"],
    ["KAFKA_FAILURES", "s3cret"],
    ["KAFKA_TOPIC_API", "s3cret"],
    ["MAX_CONNECTIONS", "s3cret"],
    ["MAX_CONNECTIONS", "0"],
    ["MAX_CONNECTIONS", "1000000"],
    ["HEADRACE_STAGE", "s3cret stage"],
    ["HEADRACE_SIZE", "s3cret"],
    ["KAFKA_BROKERS", "s3cret"],
    ["KAFKA_BROKERS", "one:9092,,two:9092"],
    ["KAFKA_BROKERS", "http://one:9092"],
    ["EVENTS_TOPIC", "no topic"],
    ["EVENT_HORIZON_DAYS", "0"],
    ["EVENT_HORIZON_DAYS", "-1"],
    ["EVENT_HORIZON_DAYS", "1.5"],
    ["EVENT_HORIZON_DAYS", "forever"],
    ["LOG_LEVEL", "loud"],
  ])(
    "with a wrong value is refused by the variable's name, without the value: %s=%s",
    (name, value) => {
      const error = refusal({ [name]: value });
      expect([error.kind, error.code]).toEqual(["bug", "config.invalid"]);
      expect(error.message).toMatch(new RegExp(`^${name} must be `));
      expect(error.message).not.toContain("s3cret");
    },
  );

  test("with several wrong values is refused once, naming all", () => {
    const { message } = refusal({ LOG_LEVEL: "loud", KAFKA_BROKERS: "x" });
    expect(message).toMatch(/LOG_LEVEL.*KAFKA_BROKERS|KAFKA_BROKERS.*LOG_LEVEL/);
  });

  test("that lacks what is asked for says what to set", () => {
    expect(() => databaseAddress("orders", readConfig({}))).toThrow(
      "DATABASE_ORDERS_URL is not set and DatabaseOrdersPooled or DatabaseOrders is not linked: " +
        "set it to a postgresql:// address, or link DatabaseOrders to this function",
    );
  });
});

describe("whose tokens are believed", () => {
  const [rsa] = jwks.keys;
  test.each([
    ["no issuer", { AUTH_ISSUER: "" }, "AUTH_ISSUER is not set"],
    ["no audience", { AUTH_AUDIENCE: "" }, "AUTH_AUDIENCE is not set"],
    ["no keys", { AUTH_JWKS: "" }, "AUTH_JWKS or AUTH_JWKS_URL must be set"],
    ["both kinds of keys", { AUTH_JWKS_URL: "https://issuer.test/jwks" }, "and not both"],
    ["keys that are no JSON", { AUTH_JWKS: "{" }, "AUTH_JWKS is not JSON"],
    ["no key among the keys", { AUTH_JWKS: '{"keys":[]}' }, "AUTH_JWKS (keys) holds no key"],
    [
      "a private key",
      { AUTH_JWKS: JSON.stringify({ keys: [{ ...rsa, d: "s3cret" }] }) },
      "private key",
    ],
    ["a shared secret", { AUTH_JWKS: '{"keys":[{"kty":"oct","k":"s3cret"}]}' }, "shared secrets"],
    [
      "keys over plain http",
      { AUTH_JWKS: "", AUTH_JWKS_URL: "http://issuer.test/" },
      "AUTH_JWKS_URL must be an https://",
    ],
    [
      "keys at no address",
      { AUTH_JWKS: "", AUTH_JWKS_URL: "jwks" },
      "AUTH_JWKS_URL must be an https://",
    ],
  ])("is refused with %s", (_what, spoilt, text) => {
    const { message } = refusal({ ...auth, ...spoilt });
    expect(message).toContain(text);
    expect(message).not.toContain("s3cret");
  });

  test("the development issuer is believed here and by no deployed function", () => {
    const development = { ...auth, AUTH_ISSUER: "urn:headrace:development" };
    expect(readConfig(development).auth?.issuer).toBe("urn:headrace:development");
    const { message } = refusal({ ...development, AWS_LAMBDA_FUNCTION_NAME: "report" });
    expect(message).toContain("AUTH_ISSUER names the development issuer");
  });
});
