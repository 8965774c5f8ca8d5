import { appendFileSync } from "node:fs";
import { mkdtemp, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { boundLog, logSince, markLog } from "../../packages/local/src/child-log.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-child-log-"));
});
afterAll(() => rm(folder, { recursive: true }));

const sizeOf = async (file: string) => (await stat(file)).size;

test("a log is kept small while it is written, with what was before beside it", async () => {
  const file = join(folder, "server.log");
  // As a child has it: a file of its own that is open for appending throughout.
  const written = await open(file, "a");
  const release = boundLog(file, { keptBytes: 1_000, lookMillis: 10 });
  try {
    await written.write("a".repeat(1_001));
    await vi.waitFor(async () => expect(await sizeOf(file)).toBe(0));
    expect(await readFile(`${file}.1`, "utf8")).toBe("a".repeat(1_001));
    await written.write("b".repeat(1_002));
    await vi.waitFor(async () => expect(await sizeOf(file)).toBe(0));
    expect(await readFile(`${file}.1`, "utf8")).toBe("b".repeat(1_002));
    await written.write("c\n");
    expect(await readFile(file, "utf8")).toBe("c\n");
  } finally {
    release();
    await written.close();
  }
});

test("what a start has said is quoted, also from a log that was cut since it began", async () => {
  const file = join(folder, "other.log");
  await writeFile(file, "of an earlier start\n");
  const mark = await markLog(file);
  expect(await logSince(mark)).toBe("");
  appendFileSync(file, "one\ntwo\n");
  expect(await logSince(mark)).toBe("one\ntwo");
  expect(await logSince(mark, 1)).toBe("two");
  await writeFile(file, "anew\n");
  expect(await logSince(mark)).toBe("anew");
});

test("a log that is long already is moved aside at a start", async () => {
  const file = join(folder, "long.log");
  await writeFile(file, Buffer.alloc(8 * 1024 * 1024 + 1, "x"));
  expect(await markLog(file)).toEqual({ file, from: 0 });
  expect(await sizeOf(`${file}.1`)).toBe(8 * 1024 * 1024 + 1);
});
