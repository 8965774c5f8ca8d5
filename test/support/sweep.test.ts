import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removePostgres, startPostgres } from "@headrace/local";
import { expect, onTestFinished, test } from "vitest";
import { TEST_SETTINGS } from "./servers.ts";
import { sweepDeadRuns } from "./sweep.ts";

test("what a killed test or bench has left is removed, with its database's place outside", async () => {
  const home = await mkdtemp(join(tmpdir(), "headrace-sweep-"));
  const living = join(home, "bench-living");
  onTestFinished(async () => {
    await removePostgres(living);
    await rm(home, { recursive: true });
  });
  const folders = ["bench-young", "e2e-dead", "data"].map((name) => join(home, name));
  for (const folder of folders) await mkdir(folder);
  const [young = "", dead = "", data = ""] = folders;
  const server = await startPostgres({ folder: dead, password: "x", settings: TEST_SETTINGS });
  const own = await startPostgres({ folder: living, password: "x", settings: TEST_SETTINGS });
  onTestFinished(() => own.kill());
  await server.kill();
  const gone = {
    ...JSON.parse(await readFile(join(living, "lock.json"), "utf8")),
    began: "before",
  };
  await writeFile(join(dead, "lock.json"), JSON.stringify(gone));
  const longAgo = new Date(Date.now() - 3_600_000);
  for (const folder of [dead, living, data]) await utimes(folder, longAgo, longAgo);

  await sweepDeadRuns(home);
  expect([young, dead, data, living].filter(existsSync)).toEqual([young, data, living]);
  if (server.outsidePlace !== undefined) expect(existsSync(server.outsidePlace)).toBe(false);
});
