/**
 * Every function as the cloud runs it: packed, in an empty folder, in a process that has nothing of
 * this repository, started by the event that the cloud sends.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removePostgres, startPostgres } from "@headrace/local";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FunctionEntry, functions, functionsOf } from "../../functions/manifest.ts";
import { rowsOf } from "../db/take-in.ts";
import { type Bundle, bundleFunctions } from "../support/bundles.ts";
import {
  anEvent,
  aUser,
  auditOfEvents,
  type CloudStage,
  startCloudStage,
  windowsOfEvents,
} from "../support/cloud-stage.ts";
import { kafkaBrokers } from "../support/kafka.ts";
import { type Invoked, type Lambda, type LambdaOptions, startLambda } from "../support/lambda.ts";
import { TEST_SETTINGS } from "../support/servers.ts";

/**
 * Of a function's own file. Lambda fetches and compiles it before the first answer: past this, somebody
 * imported a library that the function does not need (the Kafka client is half of the largest).
 */
const MOST_KIB = 1750;
/** Of the packages beside it: what the Kafka client reads as a file. Lambda allows 250 MB in all. */
const MOST_INSTALLED_KIB = 512;

let base: string;
let bundles: ReadonlyMap<string, Bundle>;
let stage: CloudStage;
const running: Lambda[] = [];

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "headrace-bundles-"));
  const [packed, server] = await Promise.all([
    bundleFunctions(join(base, "functions"), functions),
    startPostgres({ folder: join(base, "postgres"), password: "test", settings: TEST_SETTINGS }),
  ]);
  bundles = new Map(packed.map((bundle) => [bundle.entry.file, bundle]));
  stage = await startCloudStage(server.url, await kafkaBrokers());
  return async () => {
    await stage.stop();
    await server.kill();
    await removePostgres(join(base, "postgres"));
    await rm(base, { recursive: true, force: true });
  };
}, 120_000);
afterAll(() => Promise.all(running.map((lambda) => lambda.stop())));

/** Of an HTTP function's answer. */
const bodyOf = ({ result }: Invoked) => JSON.parse((result as { body: string }).body);
const bundleOf = ({ file }: FunctionEntry): Bundle =>
  bundles.get(file) ?? expect.fail(`${file} is not packed`);
const entryOf = (file: string): FunctionEntry =>
  functions.find((entry) => entry.file === file) ?? expect.fail(`${file} is in no manifest`);

async function start(entry: FunctionEntry, options = stage.optionsFor(entry)): Promise<Lambda> {
  const lambda = await startLambda(bundleOf(entry), options);
  running.push(lambda);
  return lambda;
}

/** Starts the function, invokes it as the cloud does, and ends it. Its lines must be structured. */
async function run(
  file: string,
  event: unknown = stage.eventFor(entryOf(file)),
  more: { readonly millis?: number; readonly options?: LambdaOptions } = {},
): Promise<Invoked & { readonly lines: readonly Record<string, unknown>[] }> {
  const lambda = await start(entryOf(file), more.options);
  try {
    const invoked = await lambda.invoke(event, more.millis);
    expect(lambda.lines.stderr).toEqual([]);
    return { ...invoked, lines: lambda.lines.stdout.map((line) => JSON.parse(line)) };
  } finally {
    await lambda.stop();
  }
}

test("every function's file, and what lies beside it, is small", () => {
  const sizes = functions.map((entry) => {
    const { bytes, installedBytes } = bundleOf(entry);
    return [entry.file, Math.ceil(bytes / 1024), Math.ceil(installedBytes / 1024)] as const;
  });
  const table = sizes.map(
    ([file, own, installed]) =>
      `${file.padEnd(26)}${String(own).padStart(6)} KiB${installed > 0 ? ` + ${installed} KiB of packages` : ""}`,
  );
  process.stdout.write(`${table.join("\n")}\n`);
  expect(sizes.filter(([, own]) => own > MOST_KIB)).toEqual([]);
  expect(sizes.filter(([, , installed]) => installed > MOST_INSTALLED_KIB)).toEqual([]);
});

describe("the functions of one stage, in the order in which the cloud starts them", () => {
  test("the deploy makes topics, roles and schema, and has nothing to do the second time", async () => {
    const { result } = await run("deploy/prepare-stage");
    expect(result).toMatchObject({ topics: [stage.topic, `${stage.topic}.failed`] });
    expect((await run("deploy/prepare-stage")).result).toMatchObject({ migrations: [] });
  });

  test("a batch of two partitions is taken in, its bad record set aside, its figures measured", async () => {
    const { result, lines } = await run("kafka/ingest-events");
    expect(result).toEqual({ batchItemFailures: [] });
    expect(await rowsOf(stage.pool, "select sum(events) as events from stream_progress")).toEqual([
      { events: "2" },
    ]);
    const metrics = lines.filter((line) => "_aws" in line);
    expect(metrics.reduce((sum, { EventsStored = 0 }) => sum + Number(EventsStored), 0)).toBe(2);
  });

  test.each(functionsOf("cron").filter(({ file }) => file !== "cron/pulse"))(
    "$file runs under its lease",
    async ({ file }) => {
      expect((await run(file)).result).toEqual({ ran: true });
    },
  );

  test("pulse runs its crons until its time is up", async () => {
    const { result } = await run("cron/pulse", undefined, { millis: 7_000 });
    expect(result).toEqual({ ran: true });
    expect(await rowsOf(stage.pool, "select count(*) as left from open_windows")).toEqual([
      { left: 0 },
    ]);
  });

  test("the audit finds that results are what raw events say, and keeps that it looked", async () => {
    await stage.pool.query("truncate audit_runs");
    expect((await run("cron/audit")).result).toEqual({ ran: true });
    const runs = await rowsOf(stage.pool, "select ok, differences from audit_runs");
    const found = { ok: true, differences: [] };
    expect(runs).toEqual([found, found]);
  });

  test("a request's events reach Kafka", async () => {
    const { result } = await run("http/collect", stage.request("POST", "/v1/events", anEvent()));
    expect(result).toMatchObject({ statusCode: 202 });
  });

  test("reports answer from what was taken in", async () => {
    const told = await run("http/reports", stage.request("GET", windowsOfEvents));
    expect(told.result).toMatchObject({ statusCode: 200 });
    expect(bodyOf(told).windows).toMatchObject([{ event_count: 2, revenue: "25.00" }]);
  });

  test("health, progress and an audit are told by one process, a request after the other", async () => {
    const lambda = await start(entryOf("http/operations"));
    const health = await lambda.invoke(stage.request("GET", "/health"));
    expect(health.result).toMatchObject({ statusCode: 200 });
    const progress = await lambda.invoke(stage.request("GET", "/v1/progress"));
    expect(bodyOf(progress).partitions).toHaveLength(2);
    const audit = bodyOf(await lambda.invoke(stage.request("GET", auditOfEvents)));
    expect(audit).toMatchObject({ ok: true, differences: [] });
    expect(audit.checked).toContainEqual({ what: "sessions", rows: 1, differences: 0 });
    expect(lambda.lines.stderr).toEqual([]);
  });

  test("a user is stored with a segment, and the events of the user are told", async () => {
    const stored = await run("http/dimensions", stage.request("PUT", "/v1/users/u1", aUser));
    expect(stored.result).toMatchObject({ statusCode: 201 });
    const told = await run("http/users", stage.request("GET", "/v1/users/u1/events"));
    expect(told.result).toMatchObject({ statusCode: 200 });
    expect(bodyOf(told).events).toHaveLength(2);
  });

  test("a join is declared, and listed by the same process", async () => {
    const lambda = await start(entryOf("http/joins"));
    const join = { left: "product_view", right: "purchase", within: "1h" };
    const declared = await lambda.invoke(stage.request("PUT", "/v1/joins/view-purchase", join));
    expect(declared.result).toMatchObject({ statusCode: 201 });
    const listed = await lambda.invoke(stage.request("GET", "/v1/joins"));
    expect(bodyOf(listed).joins).toContainEqual(expect.objectContaining(join));
    expect(lambda.lines.stderr).toEqual([]);
  });

  test("who asks to be erased is, once the results hold what came before, and the figures stay", async () => {
    const lambda = await start(entryOf("http/users"));
    const ask = (method: string, target: string) => lambda.invoke(stage.request(method, target));
    const asked = await ask("DELETE", "/v1/users/u1");
    expect(asked.result).toMatchObject({ statusCode: 202 });
    await run("cron/erase-users");
    await run("cron/pulse", undefined, { millis: 7_000 });
    await run("cron/erase-users");
    expect(bodyOf(await ask("GET", `/v1/erasures/${bodyOf(asked).job_id}`))).toMatchObject({
      state: "done",
      events: 2,
    });
    expect(bodyOf(await ask("GET", "/v1/users/u1/events")).events).toEqual([]);
    const told = await run("http/reports", stage.request("GET", windowsOfEvents));
    expect(bodyOf(told).windows).toMatchObject([{ event_count: 2, revenue: "25.00" }]);
    expect(lambda.lines.stderr).toEqual([]);
  });
});

test("a function whose database is linked through Neon's pooler has its driver with it", async () => {
  const options = stage.optionsFor(entryOf("http/reports"));
  // Nobody answers there: what is asked for is a WebSocket all the same.
  const url = "postgresql://headrace_reports:x@127.0.0.1:9/shop";
  const { result, lines } = await run("http/reports", undefined, {
    options: { ...options, links: { DatabaseReportsPooled: { url, through: "pooler" } } },
  });
  expect(result).toMatchObject({ statusCode: 503 });
  expect(JSON.stringify(lines)).toContain("WebSocket");
});

test("a function without one of its links does not start, and says which", async () => {
  const entry = entryOf("kafka/ingest-events");
  const lambda = await start(entry, { ...stage.optionsFor(entry), links: {} });
  await expect(lambda.invoke(stage.eventFor(entry))).rejects.toThrow(
    "DatabaseWorkerPooled or DatabaseWorker is not linked",
  );
});

test("a deploy whose migrations were not packed with it fails and says so", async () => {
  await rm(join(bundleOf(entryOf("deploy/prepare-stage")).folder, "migrations"), {
    recursive: true,
  });
  await expect(run("deploy/prepare-stage")).rejects.toThrow("copy packages/db/migrations beside");
});
