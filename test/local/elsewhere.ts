/**
 * Another process that uses `@headrace/local`, to be killed at will: what a test itself starts would
 * die with the test.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { vi } from "vitest";

export interface Elsewhere {
  readonly pid: number;
  /** What it printed first. */
  readonly line: string;
  /** kill -9 */
  kill(): Promise<void>;
}

/** The modules of `packages/local` one by one: all of them take a second to load. */
const MODULES = "./packages/local/src/";

/** Runs code that uses `local`, one module of the package, until it prints a line; then lets it be. */
export async function runElsewhere(module: string, code: string): Promise<Elsewhere> {
  const program = `import * as local from "${MODULES}${module}"; setInterval(() => {}, 1e6); ${code}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    cwd: join(import.meta.dirname, "../.."),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return {
    pid: child.pid as number,
    line,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** Kills the guard that would end a server when its runtime dies: what is left is an orphan. */
export function killGuardOf(server: number): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    if (commandLine(Number(pid)).endsWith(`headrace-guard\0${server}\0`))
      process.kill(Number(pid), "SIGKILL");
}

export async function untilGone(pid: number): Promise<void> {
  await vi.waitFor(
    () => {
      if (commandLine(pid) !== "") throw new Error(`process ${pid} still runs`);
    },
    { timeout: 10_000, interval: 20 },
  );
}

/** Empty for a process that does not run, a zombie also. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
