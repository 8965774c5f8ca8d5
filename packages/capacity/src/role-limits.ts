/**
 * How much of the database each role may take, by the size of the shop.
 *
 * The database itself enforces these: they are set on the role (packages/db), and `checkCapacity`
 * holds their sums against the machine. `large` are the figures that the product promises; smaller
 * sizes scale connections and memory and leave the times, which are promises to users.
 */
import type { Size } from "./size.ts";

/** Whose sessions: Kafka and cron functions, the order path, reports. */
export const ROLE_NAMES = ["worker", "orders", "reports"] as const;
export type RoleName = (typeof ROLE_NAMES)[number];

export type DatabaseRole<Name extends RoleName = RoleName> = `headrace_${Name}`;

/** As the database knows the role. */
export const databaseRole = <Name extends RoleName>(name: Name): DatabaseRole<Name> =>
  `headrace_${name}`;

export interface RoleLimits {
  /** Sessions at once; the database refuses the next one. */
  readonly connections: number;
  /** For each sort or hash of a statement. */
  readonly workMemMegabytes: number;
  /** Absent: only the transaction is bounded. */
  readonly statementTimeoutMs?: number;
  /** Absent: only the statement is bounded. */
  readonly transactionTimeoutMs?: number;
  readonly idleInTransactionTimeoutMs: number;
  readonly lockTimeoutMs: number;
}

/** The server's own `work_mem`: enough for a batch of 10,000 events, too little to sort a table. */
export const WORK_MEM_MEGABYTES = 16;

/** A frozen function must not hold a partition, a lease or the cut for longer than this. */
const WRITER = {
  transactionTimeoutMs: 10_000,
  idleInTransactionTimeoutMs: 3_000,
  lockTimeoutMs: 5_000,
} as const;

const READER = { idleInTransactionTimeoutMs: 10_000, lockTimeoutMs: 2_000 } as const;

/** An order that takes longer has been given up by whoever placed it. */
const ORDER_MS = 5_000;
/** A person at a console waits a minute; over HTTP the gateway ends an answer after 30 s. */
const REPORT_MS = 60_000;
const REPORT_BY_HTTP_MS = 25_000;

interface Share
  extends Readonly<Record<RoleName, readonly [connections: number, workMemMegabytes: number]>> {
  readonly reportMs: number;
}

const SHARES: Readonly<Record<Size, Share>> = {
  // One machine shares its memory with Kafka and the functions, hence the small sorts.
  local: { worker: [40, 16], orders: [100, 64], reports: [20, 64], reportMs: REPORT_MS },
  // Fits the smallest server that Neon rents (1 GB allows 97 sessions) in number, 4 GB in memory.
  starter: { worker: [24, 16], orders: [24, 16], reports: [8, 32], reportMs: REPORT_BY_HTTP_MS },
  // The writers' of these two let every poller that the size has by default run at its most.
  standard: { worker: [50, 16], orders: [50, 16], reports: [12, 64], reportMs: REPORT_BY_HTTP_MS },
  large: { worker: [80, 16], orders: [100, 64], reports: [20, 512], reportMs: REPORT_BY_HTTP_MS },
};

export function roleLimits(size: Size): Readonly<Record<RoleName, RoleLimits>> {
  const { worker, orders, reports, reportMs } = SHARES[size];
  return {
    worker: { connections: worker[0], workMemMegabytes: worker[1], ...WRITER },
    orders: {
      connections: orders[0],
      workMemMegabytes: orders[1],
      statementTimeoutMs: ORDER_MS,
      ...WRITER,
    },
    reports: {
      connections: reports[0],
      workMemMegabytes: reports[1],
      statementTimeoutMs: reportMs,
      ...READER,
    },
  };
}

/**
 * Sessions beside those of the roles: the owner's migrations, a person with a console, and what the
 * server or its service keeps for itself (3 for superusers, RDS up to 10, Neon 7).
 */
export const SPARE_CONNECTIONS = 40;

/** What `max_connections` has to be for a size. */
export function maxConnections(size: Size): number {
  const limits = roleLimits(size);
  return ROLE_NAMES.reduce((sum, role) => sum + limits[role].connections, SPARE_CONNECTIONS);
}
