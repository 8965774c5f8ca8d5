/**
 * The server's settings as a parameter group of RDS wants them: whole numbers in the parameter's own
 * unit, 1 and 0 for on and off.
 */
import { type Machine, type ServerSettings, serverSettings } from "./server-settings.ts";

export interface Parameter {
  readonly name: string;
  readonly value: string;
  /** Whether a change waits for the server's next restart. */
  readonly applyMethod: "immediate" | "pending-reboot";
}

/** `aurora`: Serverless v2, whose storage knows no checkpoints and whose caches follow its capacity. */
export type ParameterEngine = "rds" | "aurora";

type Name = keyof ServerSettings;

/** PostgreSQL's own (`pg_settings.unit`), which RDS counts in; parameters without one are left out. */
const UNITS: Readonly<Partial<Record<Name, keyof typeof SCALES>>> = {
  shared_buffers: "8kB",
  effective_cache_size: "8kB",
  maintenance_work_mem: "kB",
  work_mem: "kB",
  temp_file_limit: "kB",
  log_temp_files: "kB",
  max_wal_size: "MB",
  min_wal_size: "MB",
  checkpoint_timeout: "s",
  autovacuum_naptime: "s",
  deadlock_timeout: "ms",
};

/** Bytes, and milliseconds. */
const SCALES = {
  kB: 1024,
  "8kB": 8 * 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
  ms: 1,
  s: 1000,
  min: 60_000,
} as const;

/** Read by the server at its start alone (`pg_settings.context`). */
const AT_START: ReadonlySet<string> = new Set<Name>([
  "max_connections",
  "max_locks_per_transaction",
  "max_worker_processes",
  "shared_buffers",
]);

const NOT_ON_AURORA: ReadonlySet<string> = new Set<Name>([
  "shared_buffers",
  "effective_cache_size",
  "checkpoint_timeout",
  "max_wal_size",
  "min_wal_size",
]);

export function parameterGroup(engine: ParameterEngine, machine: Machine): readonly Parameter[] {
  return Object.entries(serverSettings(machine))
    .filter(([name]) => engine === "rds" || !NOT_ON_AURORA.has(name))
    .map(([name, text]) => ({
      name,
      value: parameterValue(name as Name, text),
      applyMethod: AT_START.has(name) ? "pending-reboot" : "immediate",
    }));
}

function parameterValue(name: Name, text: string): string {
  if (text === "on") return "1";
  if (text === "off") return "0";
  const unit = UNITS[name];
  const match = /^(\d+)(kB|MB|GB|ms|s|min)$/.exec(text);
  if (unit === undefined || match === null) return text;
  const scale = SCALES[match[2] as keyof typeof SCALES];
  return String(Math.round((Number(match[1]) * scale) / SCALES[unit]));
}
