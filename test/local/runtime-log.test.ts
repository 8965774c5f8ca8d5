import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogLevel } from "@headrace/kernel";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFunctionLog } from "../../packages/local/src/function-log.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-log-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function open(level: LogLevel = "info") {
  const file = join(folder, `functions-${++files}.log`);
  const notices: string[] = [];
  const clock = { millis: Date.UTC(2026, 0, 1), now: () => clock.millis };
  const log = await openFunctionLog({ file, clock, level, notice: (line) => notices.push(line) });
  const lines = async () => {
    await log.close();
    return (await readFile(file, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  };
  return { log, notices, clock, lines, file };
}

test("lines go to the file as JSON, with what the logger was given", async () => {
  const { log, notices, lines } = await open();
  log.logger.with({ function: "a" }).info("said", { count: 2n });
  log.logger.debug("not said");
  expect(await lines()).toEqual([
    { time: "2026-01-01T00:00:00.000Z", level: "info", message: "said", function: "a", count: "2" },
  ]);
  expect(notices).toEqual([]);
});

test("an error is also told on the console, in one line that says who, why and where more is", async () => {
  const { log, notices, lines, file } = await open();
  const error = new Error("no database\nat all");
  log.logger.with({ function: "kafka-ingest-events" }).error("a batch failed", { error });
  expect(notices).toEqual([`a batch failed: kafka-ingest-events, no database (more in ${file})`]);
  expect((await lines())[0]).toMatchObject({
    level: "error",
    error: { stack: expect.any(String) },
  });
});

test("the same error does not flood the console, and all of them are in the file", async () => {
  const { log, notices, clock, lines } = await open();
  for (let i = 0; i < 100; i++) log.logger.error("again", { i });
  log.logger.error("another");
  expect(notices).toHaveLength(2);
  clock.millis += 31_000;
  log.logger.error("again");
  expect(notices).toHaveLength(3);
  expect(await lines()).toHaveLength(102);
});

test("at the end errors no longer reach the console", async () => {
  const { log, notices, lines } = await open();
  log.quieten();
  log.logger.error("a connection was lost");
  expect(notices).toEqual([]);
  expect(await lines()).toHaveLength(1);
});

test("a file that has grown too large is moved aside", async () => {
  const { log, file, lines } = await open();
  const text = "x".repeat(1024 * 1024);
  for (let i = 0; i < 34; i++) log.logger.info(text);
  const kept = await lines();
  const aside = (await readFile(`${file}.1`, "utf8")).trimEnd().split("\n");
  expect(kept.length).toBeLessThan(34);
  expect(kept.length + aside.length).toBe(34);
});
