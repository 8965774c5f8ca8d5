import { randomBytes } from "node:crypto";
import { createPool, dumpSchema, type Pool, roleUrl } from "@headrace/db";
import { config, forgetConfig, useLogger } from "@headrace/handler";
import { createAdmin } from "@headrace/kafka";
import { AppError, jsonLogger } from "@headrace/kernel";
import { afterAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { rowsOf } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { kafkaBrokers, uniqueTopic } from "../support/kafka.ts";

const server = await testDatabase();
const brokers = await kafkaBrokers();
const admin = createAdmin({ brokers });
afterAll(() => admin.close());
const { handler } = await import("../../functions/deploy/prepare-stage.ts");

const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
const run = () => handler({ release: "r1" }, context);
const failure = () =>
  run().then(
    () => expect.fail("the stage was prepared"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(AppError);
      return error as AppError;
    },
  );

let ownerUrl: string;
let owner: Pool;
let topic: string;
const state = { topics: [] as unknown[] };

function link(environment: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  forgetConfig();
}

beforeEach(async () => {
  const name = `${server.name}_${randomBytes(3).toString("hex")}`;
  await server.pool.query(`create database ${name} template template0`);
  ownerUrl = Object.assign(new URL(server.ownerUrl), { pathname: `/${name}` }).href;
  owner = createPool({ connectionString: ownerUrl, max: 2 });
  owner.on("error", () => {});
  topic = uniqueTopic();
  state.topics = [
    { name: topic, partitions: 3, configs: { "message.timestamp.type": "LogAppendTime" } },
    { name: `${topic}.failed`, partitions: 1, replication: 1, configs: {} },
  ];
  link({
    DATABASE_OWNER_URL: ownerUrl,
    DATABASE_WORKER_URL: roleUrl(ownerUrl, "headrace_worker"),
    DATABASE_ORDERS_URL: roleUrl(ownerUrl, "headrace_orders"),
    DATABASE_REPORTS_URL: roleUrl(ownerUrl, "headrace_reports"),
    KAFKA_BROKERS: brokers.join(","),
    KAFKA_TOPIC_API: undefined,
    MAX_CONNECTIONS: undefined,
    RAW_RETENTION_DAYS: "400",
    TOPICS: JSON.stringify(state.topics),
  });
  return async () => {
    await owner.end();
    await server.pool.query(`drop database ${name} with (force)`);
  };
});

test("an empty stage gets its topics, roles, schema and partitions; again, nothing is to be done", async () => {
  const first = await run();
  expect(first.topics).toEqual([topic, `${topic}.failed`]);
  expect(first.migrations.length).toBeGreaterThan(3);
  expect(await admin.partitions(topic)).toBe(3);
  expect(await admin.partitions(`${topic}.failed`)).toBe(1);
  const schema = await dumpSchema(owner);
  const migrated = await rowsOf(owner, "select * from migrations order by name");
  const partitions = "select count(*) as made from pg_class where relispartition and relkind = 'r'";
  const [made] = await rowsOf(owner, partitions);
  expect(Number(made?.made)).toBeGreaterThanOrEqual(5);

  expect(await run()).toEqual({ migrations: [], topics: first.topics });
  expect(await dumpSchema(owner)).toBe(schema);
  expect(await rowsOf(owner, "select * from migrations order by name")).toEqual(migrated);
  expect(await rowsOf(owner, partitions)).toEqual([made]);
});

test("a migration that fails throws and leaves the schema as the one before it made it", async () => {
  await owner.query("create table stream_progress (mine integer)");
  await expect(run()).rejects.toThrow('relation "stream_progress" already exists');
  const known = await rowsOf(owner, "select name from migrations order by name");
  expect(known).toHaveLength(2);
  expect(await rowsOf(owner, "select to_regclass('realtime_aggregates') as windows")).toEqual([
    { windows: null },
  ]);
});

test("a topic that has fewer partitions than asked is refused before the schema changes", async () => {
  await admin.ensureTopic(topic, { partitions: 2 });
  const error = await failure();
  expect(error).toMatchObject({ kind: "conflict", code: "kafka.topic_has_fewer_partitions" });
  expect(error.message).toContain(topic);
  expect(error.message).toContain("set events.partitions");
  expect(await rowsOf(owner, "select to_regclass('migrations') as made")).toEqual([{ made: null }]);
});

test("a topic that has more partitions is left", async () => {
  await admin.ensureTopic(topic, { partitions: 5 });
  await run();
  expect(await admin.partitions(topic)).toBe(5);
});

test("raw events are kept for as long as the deploy says, also when it says otherwise later", async () => {
  const kept = "select raw_retention = interval '500 days' as kept from settings";
  link({ RAW_RETENTION_DAYS: "500" });
  await run();
  expect(await rowsOf(owner, kept)).toEqual([{ kept: true }]);
  link({ RAW_RETENTION_DAYS: "450" });
  await run();
  expect(await rowsOf(owner, kept)).toEqual([{ kept: false }]);
});

test("a server that runs with fewer connections than its parameters ask for is told of, with the remedy", async () => {
  const lines: string[] = [];
  useLogger(jsonLogger({ clock: { now: () => 0 }, write: (line) => lines.push(line) }));
  onTestFinished(() => useLogger(undefined));
  const [row] = await rowsOf(owner, "select current_setting('max_connections')::int as allowed");
  const allowed = Number(row?.allowed);
  const told = () => lines.splice(0).filter((line) => line.includes("max_connections"));

  await run();
  link({ MAX_CONNECTIONS: String(allowed) });
  await run();
  expect(told()).toEqual([]);

  link({ MAX_CONNECTIONS: String(allowed + 1) });
  await run();
  const [warning, ...others] = told();
  expect(others).toEqual([]);
  expect(JSON.parse(warning ?? "{}")).toMatchObject({
    level: "warn",
    allowed,
    expected: allowed + 1,
  });
  expect(warning).toContain("reboot the database instance");
});

test("a server older than PostgreSQL 17 is refused with its version", async () => {
  // The server itself cannot be older; what it says of itself can.
  await owner.query("create schema older");
  await owner.query(
    `create function older.current_setting(name text) returns text
       language sql
     return case name when 'server_version_num' then '160009' else '16.9' end`,
  );
  const database = new URL(ownerUrl).pathname.slice(1);
  await owner.query(`alter database ${database} set search_path = older, pg_catalog, public`);
  const error = await failure();
  expect(error).toMatchObject({ kind: "invalid", code: "database.version" });
  expect(error.message).toMatch(/needs PostgreSQL 17 or newer.*of the link DatabaseOwner is 16\.9/);
});

test.each([
  ["DATABASE_OWNER_URL", "DatabaseOwner"],
  ["DATABASE_WORKER_URL", "DatabaseWorker"],
  ["DATABASE_ORDERS_URL", "DatabaseOrders"],
  ["DATABASE_REPORTS_URL", "DatabaseReports"],
  ["KAFKA_BROKERS", "Kafka"],
  ["TOPICS", "TOPICS"],
  ["RAW_RETENTION_DAYS", "RAW_RETENTION_DAYS"],
])("without %s nothing is changed and the message names %s", async (variable, linked) => {
  link({ [variable]: undefined });
  const error = await failure();
  expect(error).toMatchObject({ kind: "bug", code: "config.missing" });
  expect(error.message).toContain(variable);
  expect(error.message).toContain(linked);
  expect(await rowsOf(owner, "select to_regclass('migrations') as made")).toEqual([{ made: null }]);
});

test.each([
  [
    "a role's address that names another role",
    { DATABASE_ORDERS_URL: "postgresql://somebody:x@h/d" },
    "headrace_orders",
  ],
  ["topics that are not JSON", { TOPICS: "events" }, "TOPICS is not JSON"],
  [
    "a topic without partitions",
    { TOPICS: '[{"name":"events","configs":{}}]' },
    "TOPICS.0.partitions",
  ],
  ["a retention without an end", { RAW_RETENTION_DAYS: "forever" }, "RAW_RETENTION_DAYS"],
  ["connections that are no number", { MAX_CONNECTIONS: "many" }, "MAX_CONNECTIONS"],
  ["an unknown way to make topics", { KAFKA_TOPIC_API: "zookeeper" }, "KAFKA_TOPIC_API"],
  ["AWS's topic API without a cluster", { KAFKA_TOPIC_API: "msk" }, "clusterArn"],
])("%s is refused by its name", async (_what, environment, named) => {
  link(environment);
  const error = await failure();
  expect(error).toMatchObject({ kind: "bug", code: "config.invalid" });
  expect(error.message).toContain(named);
});

test("an event that no deploy sends is refused", async () => {
  await expect(handler({}, context)).rejects.toMatchObject({ code: "deploy.event" });
  expect(config().size).toBe("local");
});
