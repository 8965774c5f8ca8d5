/**
 * Whether a stage's settings fit its database server, told before anything is made: what functions
 * may open against what roles are allowed, roles against the server's connections, and what all
 * sessions may use against its memory.
 *
 * Memory is counted as if every session sorted once at the same moment. A statement may sort more
 * than once, and most sort nothing: the bound keeps a bad minute from ending the server, it is no
 * proof.
 */
import {
  maxConnections,
  ROLE_NAMES,
  type RoleName,
  roleLimits,
  SPARE_CONNECTIONS,
} from "./role-limits.ts";
import { type Machine, parallelWorkers, serverSettings } from "./server-settings.ts";

/** `postgres`: a server whose settings are ours, RDS included. */
export type Engine = "postgres" | "aurora" | "neon";

export interface Capacity extends Machine {
  readonly engine: Engine;
  /** What the server allows; default: what `serverSettings` asks for. */
  readonly maxConnections?: number;
  readonly functions: readonly FunctionConnections[];
  /** Sessions that a proxy or pooler opens at most for its callers, by role. */
  readonly pooled?: Readonly<Partial<Record<RoleName, number>>>;
}

/** A function that connects to the server itself. */
export interface FunctionConnections {
  readonly name: string;
  /** Of it at once. */
  readonly instances: number;
  /** Of each instance, by role. */
  readonly connections: Readonly<Partial<Record<RoleName, number>>>;
}

/** Sessions that one invocation of a deployed function uses at once, by what starts it; its pools are as large. */
export const INVOCATION_CONNECTIONS = {
  /** Two partitions side by side, each with one connection at a time. */
  kafka: 2,
  /** One to work, one for a lease that is given back while the work's last statement still runs. */
  cron: 2,
  /** A second one, for what comes while the statement of a request that ran out of time still ends. */
  http: 2,
} as const;

export interface CapacityFault {
  /** What is too much: `connections.worker`, `connections`, `memory`. */
  readonly path: string;
  /** The sum, and what to change. */
  readonly message: string;
}

/** Empty where everything fits. */
export function checkCapacity(capacity: Capacity): readonly CapacityFault[] {
  return [
    ...ROLE_NAMES.flatMap((role) => checkRole(role, capacity)),
    ...checkConnections(capacity),
    ...checkMemory(capacity),
  ];
}

function checkRole(role: RoleName, { size, functions, pooled }: Capacity): CapacityFault[] {
  const allowed = roleLimits(size)[role].connections;
  const parts = functions.flatMap(({ name, instances, connections }) => {
    const each = connections[role] ?? 0;
    return each === 0 ? [] : [{ text: `${name} ${instances} × ${each}`, sum: instances * each }];
  });
  const byPool = pooled?.[role] ?? 0;
  if (byPool > 0) parts.push({ text: `the pooler ${byPool}`, sum: byPool });
  const total = parts.reduce((sum, part) => sum + part.sum, 0);
  if (total <= allowed) return [];
  return [
    {
      path: `connections.${role}`,
      message: `role ${role} may hold ${allowed} connections in size ${size}, and functions may open ${total} (${parts.map(({ text }) => text).join(", ")}): lower how many run at once (pollers.max, or events.partitions of a topic that is still to be made), or choose a larger size`,
    },
  ];
}

function checkConnections(capacity: Capacity): CapacityFault[] {
  const { size } = capacity;
  const needed = maxConnections(size);
  const allowed = capacity.maxConnections ?? needed;
  if (needed <= allowed) return [];
  const limits = roleLimits(size);
  const parts = ROLE_NAMES.map((role) => `${role} ${limits[role].connections}`).join(", ");
  return [
    {
      path: "connections",
      message: `size ${size} needs ${needed} connections (${parts}, spare ${SPARE_CONNECTIONS}), and the server allows ${allowed}: raise max_connections, choose a larger server, or a smaller size`,
    },
  ];
}

const GB = 1024 ** 3;
const MB = 1024 ** 2;
/** The rest is the system's, its file cache above all, which PostgreSQL counts on. */
const MEMORY_SHARE = 0.75;
/** What a session holds without sorting: its catalogue, plans and buffers. */
const SESSION_MEGABYTES = 5;
/** Autovacuum's processes, each with `maintenance_work_mem`. */
const VACUUM_WORKERS = 3;
/** Aurora has no file cache: it keeps this share for its own buffers. */
const AURORA_CACHE_SHARE = 0.75;
/** Neon keeps its buffers small: most pages wait in its own storage's cache. */
const NEON_CACHE_BYTES = 256 * MB;

function checkMemory(capacity: Capacity): CapacityFault[] {
  const { size, engine, memoryBytes } = capacity;
  const sums = memorySums(capacity);
  const needed = Object.values(sums).reduce((sum, bytes) => sum + bytes, 0);
  const usable = engine === "aurora" ? memoryBytes * (1 - AURORA_CACHE_SHARE) : memoryBytes;
  const allowed = usable * MEMORY_SHARE;
  if (needed <= allowed) return [];
  const parts = Object.entries(sums)
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => `${name} ${gigabytes(bytes)}`);
  const cache = engine === "aurora" ? " that its buffers leave" : "";
  const least = (memoryBytes * needed) / allowed;
  return [
    {
      path: "memory",
      message: `size ${size} may use ${gigabytes(needed)} of memory (${parts.join(", ")}), more than ${MEMORY_SHARE * 100} % of the ${gigabytes(usable)}${cache}: choose a server with at least ${Math.ceil(least / GB)} GB, or a smaller size`,
    },
  ];
}

function memorySums(capacity: Capacity): Readonly<Record<string, number>> {
  const { size, engine, cores } = capacity;
  const settings = serverSettings(capacity);
  const limits = roleLimits(size);
  const largestSort = Math.max(...ROLE_NAMES.map((role) => limits[role].workMemMegabytes));
  const ownBuffers = megabytes(settings.shared_buffers) * MB;
  return {
    "shared buffers": { postgres: ownBuffers, aurora: 0, neon: NEON_CACHE_BYTES }[engine],
    ...Object.fromEntries(
      ROLE_NAMES.map((role) => {
        const { connections, workMemMegabytes } = limits[role];
        return [
          `${role} ${connections} × ${workMemMegabytes} MB`,
          connections * workMemMegabytes * MB,
        ];
      }),
    ),
    "parallel workers": parallelWorkers(cores) * largestSort * MB,
    vacuum: VACUUM_WORKERS * megabytes(settings.maintenance_work_mem) * MB,
    sessions: maxConnections(size) * SESSION_MEGABYTES * MB,
  };
}

const megabytes = (text: string): number => Number.parseInt(text, 10);

const gigabytes = (bytes: number): string => `${(bytes / GB).toFixed(1)} GB`;
