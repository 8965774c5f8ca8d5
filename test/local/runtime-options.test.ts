import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseStartArguments } from "../../packages/local/src/start-options.ts";

const parse = (line: string, env: Record<string, string> = {}) =>
  parseStartArguments(line.split(" ").filter(Boolean), env);

test("without switches it is the standard port, shop and HOME in the repository", () => {
  expect(parse("")).toEqual({
    home: join(import.meta.dirname, "../../.headrace"),
    port: 8787,
    portWasNamed: false,
    trafficPerSecond: 50,
    partitions: 4,
    fresh: false,
    databaseUrl: undefined,
    kafkaBrokers: undefined,
  });
});

test("flags go before the environment, and an empty variable counts as none", () => {
  const env = { HEADRACE_PORT: "9001", HEADRACE_HOME: "/elsewhere" };
  expect(parse("", env)).toMatchObject({ port: 9001, portWasNamed: true, home: "/elsewhere" });
  expect(parse("--port 9002 --home=/here", env)).toMatchObject({ port: 9002, home: "/here" });
  expect(parse("", { HEADRACE_PORT: "", DATABASE_URL: "", KAFKA_BROKERS: "" })).toMatchObject({
    portWasNamed: false,
    databaseUrl: undefined,
    kafkaBrokers: undefined,
  });
});

test("the standard port is a named one where somebody asked for it", () => {
  expect(parse("--port 8787")).toMatchObject({ port: 8787, portWasNamed: true });
  expect(parse("", { HEADRACE_PORT: "8787" })).toMatchObject({ portWasNamed: true });
});

test("the shop can be left out or made busier, and the topic wider", () => {
  expect(parse("--no-traffic")).toMatchObject({ trafficPerSecond: 0 });
  expect(parse("--traffic 2000 --partitions 12")).toMatchObject({
    trafficPerSecond: 2000,
    partitions: 12,
  });
});

test("a relative HOME is taken from the working folder", () => {
  expect(parse("--home data")).toMatchObject({ home: join(process.cwd(), "data") });
});

test("servers that run already come from the environment", () => {
  expect(parse("", { KAFKA_BROKERS: "a:9092, [::1]:9093" })).toMatchObject({
    kafkaBrokers: ["a:9092", "[::1]:9093"],
  });
});

test("help is answered whatever else is asked", () => {
  expect(parse("--help")).toBe("help");
  expect(parse("--port 1 -h")).toBe("help");
});

test("a DATABASE_URL that no roles can be made from is refused before anything starts", () => {
  for (const text of ["nonsense", "mysql://o:p@h/d", "postgresql://o@h/d", "postgresql://o:p@h"])
    expect(() => parse("", { DATABASE_URL: text })).toThrow(
      expect.objectContaining({
        code: "database.url",
        message: expect.stringContaining("postgresql://OWNER:PASSWORD@HOST:PORT/DATABASE"),
      }),
    );
});

describe("what is wrong is refused by name", () => {
  test.each([
    ["--colour", {}, "--colour"],
    ["now", {}, "now"],
    ["--port", {}, "--port"],
    ["--port 65536", {}, "--port must be a whole number from 0 to 65535"],
    ["--port 80x", {}, '"80x"'],
    ["--port=-1", {}, "--port"],
    ["", { HEADRACE_PORT: "http" }, "HEADRACE_PORT must be"],
    ["--traffic lots", {}, "--traffic must be"],
    ["--traffic 1.5", {}, "--traffic must be"],
    ["--traffic 5 --no-traffic", {}, "exclude each other"],
    ["--partitions 0", {}, "--partitions must be"],
    ["--partitions 1000000", {}, "--partitions must be"],
    ["--home=", {}, "--home"],
    ["--fresh=yes", {}, "--fresh"],
    ["--fresh", { DATABASE_URL: "postgresql://o:p@h/d" }, "DATABASE_URL"],
    ["", { KAFKA_BROKERS: "localhost" }, "KAFKA_BROKERS must be host:port"],
  ])("%s %o", (line, env, told) => {
    expect(() => parse(line, env as Record<string, string>)).toThrow(
      expect.objectContaining({
        code: "start.arguments",
        message: expect.stringContaining(told),
      }),
    );
  });
});
