/**
 * Which process a pid means. A pid alone is not enough: it is given out again after the process has
 * ended, after a reboot with ease. A pid and the moment its process began are enough.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque text, equal for one process, other for a later one with the same pid. */
  readonly began: string;
}

/** Undefined when no such process runs (a zombie does not run). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const began = process.platform === "linux" ? beganOnLinux(pid) : ps(pid, "lstart=");
  return began === undefined ? undefined : { pid, began };
}

export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.began === identity.began;
}

/** Program and arguments as one text, for recognising a server; undefined when it does not run. */
export function commandLine(pid: number): string | undefined {
  if (process.platform !== "linux") return ps(pid, "command=");
  return read(`/proc/${pid}/cmdline`)?.replaceAll("\0", " ").trim() || undefined;
}

/** Direct children of a process. */
export function childrenOf(parent: number): readonly number[] {
  if (process.platform === "linux")
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => statFields(pid)?.[PARENT] === String(parent));
  return execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, ppid]) => (pid !== undefined && ppid === parent ? [pid] : []));
}

// Fields of /proc/PID/stat, counted after the program's name (proc(5) fields 3, 4 and 22).
const STATE = 0;
const PARENT = 1;
const START_TICKS = 19;

/** The name may hold blanks and parentheses, so fields are counted from its last parenthesis. */
function statFields(pid: number): readonly string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Ticks since boot, so the boot is part of it. */
function beganOnLinux(pid: number): string | undefined {
  const fields = statFields(pid);
  if (fields === undefined || fields[STATE] === "Z" || fields[STATE] === "X") return undefined;
  return `${read("/proc/sys/kernel/random/boot_id")?.trim()} ${fields[START_TICKS]}`;
}

function ps(pid: number, column: string): string | undefined {
  try {
    const text = execFileSync("ps", ["-ww", "-p", String(pid), "-o", column], { encoding: "utf8" });
    return text.trim() || undefined;
  } catch {
    return undefined; // ps ends with 1 when there is no such process
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // the process ended between two looks
  }
}
