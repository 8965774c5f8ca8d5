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

  test("a request's events reach Kafka", async () => {
    const { result } = await run("http/collect", stage.request("POST", "/v1/events", anEvent()));
    expect(result).toMatchObject({ statusCode: 202 });
  });

  test("reports answer from what was taken in", async () => {
    const { result } = await run("http/reports", stage.request("GET", windowsOfEvents));
    expect(result).toMatchObject({ statusCode: 200 });
    const { windows } = JSON.parse((result as { body: string }).body);
    expect(windows).toMatchObject([{ event_count: 2, revenue: "25.00" }]);
  });

  test("health and progress are told, by one process after the other request", async () => {
    const lambda = await start(entryOf("http/operations"));
    const health = await lambda.invoke(stage.request("GET", "/health"));
    expect(health.result).toMatchObject({ statusCode: 200 });
    const progress = await lambda.invoke(stage.request("GET", "/v1/progress"));
    expect(JSON.parse((progress.result as { body: string }).body).partitions).toHaveLength(2);
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
