/**
 * Before and after a test run: the place of its servers (`servers.ts` starts them when asked), and
 * the removal of everything that the run has made, also when it is interrupted.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { lockFolder } from "@headrace/local";
import type { TestProject } from "vitest/node";
import { TestServers } from "./servers.ts";
import { sweepDeadRuns, sweepRun } from "./sweep.ts";

const HOME = join(import.meta.dirname, "../../.headrace");

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await sweepDeadRuns(HOME);
  const folder = join(HOME, `test-${process.pid}`);
  await mkdir(folder, { recursive: true });
  lockFolder(folder);
  const runId = randomBytes(4).toString("hex");
  const servers = new TestServers(folder, randomBytes(16).toString("hex"));
  project.provide("serversUrl", await servers.listen());
  project.provide("runId", runId);

  // vitest ends at once when it is interrupted, and waits for nobody: somebody else has to sweep.
  const sweepLater = (): void => {
    const program = join(import.meta.dirname, "sweep.ts");
    spawn(process.execPath, [program, folder, runId], { detached: true, stdio: "ignore" }).unref();
  };
  process.once("exit", sweepLater);
  return async () => {
    await servers.close();
    await sweepRun(folder, runId);
    process.off("exit", sweepLater);
  };
}
