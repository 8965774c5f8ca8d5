/**
 * The process's database connections, one pool for each purpose, made at first use from the
 * environment and shared by every handler in the process.
 *
 * Waiting for a connection ends after 2 s (`database.busy`, 503), so a crowd of reports cannot pile
 * up. A connection lost while idle is logged and replaced. A connection whose first check fails is
 * closed before anybody could use it.
 */
import { createPool, ensureEpoch, type Pool, type Sql } from "@headrace/db";
import type { Logger } from "@headrace/kernel";
import { databaseUrl, type Purpose } from "./config.ts";
import { loggable, logger } from "./log.ts";
import { type PurposeSql, purposeSql } from "./pools-sql.ts";

export interface PoolLimits {
  readonly maxConnections: number;
  /** Server side, per statement; undefined leaves it to the role. */
  readonly statementTimeoutMillis?: number;
}

/** The role's own `connection limit` is above the sum that one machine's processes open. */
const limits: Record<Purpose, PoolLimits> = {
  worker: { maxConnections: 16 },
  orders: { maxConnections: 32 },
  // More at once than the machine has cores only queue inside PostgreSQL; 25 s is what HTTP allows
  // of the role's 60 s, and stays below the gateway's 30 s.
  reports: { maxConnections: 12, statementTimeoutMillis: 25_000 },
};

const CONNECT_TIMEOUT_MILLIS = 2_000;
const KEEPALIVE_MILLIS = 10_000;
/** A database that scales to zero sleeps only when nobody is connected. */
const IDLE_TIMEOUT_MILLIS = 10_000;

/** Runs on each new connection before its first use; a throw closes it and is thrown to whoever waits. */
export type ConnectionCheck = (connection: Sql) => Promise<void>;

/** Whoever writes must know that transaction ids went on from where they were. */
const checks: Partial<Record<Purpose, ConnectionCheck>> = {
  worker: checkEpoch,
  orders: checkEpoch,
};

const pools = new Map<Purpose, Pool>();

/** The pool of `purpose`; throws `config.missing`. */
export function pool(purpose: Purpose): Pool {
  let open = pools.get(purpose);
  if (open === undefined) {
    open = openPool(databaseUrl(purpose), purpose, limits[purpose], checks[purpose]);
    pools.set(purpose, open);
  }
  return open;
}

const readers: ReadonlySet<Purpose> = new Set(["reports"]);
const sqls = new WeakMap<Pool, PurposeSql>();

export function sqlOf(purpose: Purpose): PurposeSql {
  const open = pool(purpose);
  const known = sqls.get(open) ?? purposeSql(open, { readOnly: readers.has(purpose) });
  sqls.set(open, known);
  return known;
}

/** Ends every pool once its connections are given back; the next `pool()` opens a new one. */
export async function closePools(): Promise<void> {
  const open = [...pools.values()];
  pools.clear();
  await Promise.all(open.map((each) => each.end()));
}

/** A pool with this module's rules, outside of the shared ones. */
export function openPool(
  url: string,
  name: string,
  { maxConnections, statementTimeoutMillis }: PoolLimits,
  check?: ConnectionCheck,
  log: () => Logger = logger,
): Pool {
  const opened = createPool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MILLIS,
    idleTimeoutMillis: IDLE_TIMEOUT_MILLIS,
    allowExitOnIdle: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MILLIS,
    application_name: `headrace ${name}`,
    // The roles say the same; a URL of another role must not change what a report answers.
    options: "-c timezone=UTC -c datestyle=ISO",
    ...(statementTimeoutMillis === undefined
      ? {}
      : {
          statement_timeout: statementTimeoutMillis,
          // For a server that no longer answers at all.
          query_timeout: statementTimeoutMillis + 2_000,
        }),
    ...(check === undefined ? {} : { onConnect: check }),
  });
  opened.on("error", (error) => {
    log().warn("an idle database connection was lost", { pool: name, error: loggable(error) });
  });
  return opened;
}

async function checkEpoch(connection: Sql): Promise<void> {
  const { epoch, raised } = await ensureEpoch(connection);
  if (!raised) return;
  logger().warn("the database runs on another server than before; the epoch was raised", { epoch });
}
