/**
 * Child processes: servers that must end when we end, and tools that run to their end.
 *
 * A server gets its own session, so that Ctrl-C in a terminal reaches only us and we end the servers
 * in order. Beside each server stands a guard, a shell that waits on a pipe which only we hold open:
 * when we die without a word (kill -9) the pipe closes and the guard sends the server its shutdown
 * signal. A guard that is killed too leaves an orphan; the next start on the same folder finds it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { boundLog } from "./child-log.ts";

/** Whose rights a child runs with; only root may hand one over. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly pid: number;
  /** Settles once, when the process is gone, whoever ended it. Never rejects. */
  readonly exited: Promise<ChildExit>;
  running(): boolean;
  send(signal: NodeJS.Signals): void;
}

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly account?: Account | undefined;
  /** Receives both outputs, appended; cut when it has grown (`boundLog`). */
  readonly logFile: string;
  /** What the guard sends when we die. */
  readonly guardSignal: "INT" | "TERM";
}

/** Rejects with the system's error when the program cannot be run at all. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const log = openSync(options.logFile, "a", 0o600);
  let child: ChildProcess;
  try {
    child = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: ["ignore", log, log],
      ...identity(options.account),
    });
    await once(child, "spawn");
  } finally {
    closeSync(log);
  }
  const pid = child.pid as number;
  const releaseLog = boundLog(options.logFile);
  const releaseGuard = startGuard(pid, options.guardSignal);
  const exited = new Promise<ChildExit>((resolve) => {
    child.once("exit", (code, signal) => {
      releaseGuard();
      releaseLog();
      resolve({ code, signal });
    });
  });
  return {
    pid,
    exited,
    running: () => child.exitCode === null && child.signalCode === null,
    send: (signal) => void child.kill(signal),
  };
}

export interface StopStep {
  readonly signal: NodeJS.Signals;
  readonly waitMs: number;
}

/** Sends each signal in turn until the child is gone; the last should be SIGKILL. */
export async function stopChild(child: Child, steps: readonly StopStep[]): Promise<void> {
  for (const { signal, waitMs } of steps) {
    if (!child.running()) return;
    child.send(signal);
    if (await settlesWithin(child.exited, waitMs)) return;
  }
}

/** True when the promise settled before the time was over. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  try {
    return await Promise.race([promise.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}

export interface ToolResult {
  readonly code: number | null;
  /** Both outputs as they came, without terminal colours. */
  readonly output: string;
}

export interface ToolOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly account?: Account | undefined;
}

/** Runs a program to its end. Rejects with the system's error (ENOENT, EACCES) when it cannot run. */
export async function runTool(
  command: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolResult> {
  const child = spawn(command, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
    ...identity(options.account),
  });
  let output = "";
  const collect = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const [code] = (await once(child, "close")) as [number | null];
  // Maven colours even `-q -B`; a message must not carry escapes.
  return { code, output: stripVTControlCharacters(output).trim() };
}

function identity(account: Account | undefined): { uid?: number; gid?: number } {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid };
}

/**
 * The shell's `read` ends with success when we write a line (the server is gone, nothing to do) and
 * with failure when the pipe closes without one (we are gone). Only shell builtins: PATH may be empty.
 */
function startGuard(pid: number, signal: "INT" | "TERM"): () => void {
  const guard = spawn(
    "/bin/sh",
    ["-c", `read -r line || kill -${signal} "$1"`, "headrace-guard", String(pid)],
    { detached: true, cwd: "/", stdio: ["pipe", "ignore", "ignore"] },
  );
  guard.on("error", () => {}); // no shell: the server runs unguarded, as the head comment says
  guard.stdin.on("error", () => {}); // the guard was killed before we wrote to it
  guard.unref();
  if ("unref" in guard.stdin && typeof guard.stdin.unref === "function") guard.stdin.unref();
  return () => guard.stdin.end("\n");
}
