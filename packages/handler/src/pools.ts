/**
 * The process's database connections, one pool for each purpose, made at first use from the
 * environment or the links and shared by every handler in the process.
 *
 * Waiting for a connection ends in time (`database.busy`, 503): after 2 s behind a request, so a crowd
 * of reports cannot pile up. A connection lost while idle is logged and replaced. A connection whose
 * first check fails is closed before anybody could use it. Through a proxy or a pooler nothing is
 * asked of a connection that outlives a transaction.
 */
import { createPool, ensureEpoch, type Pool, type Sql } from "@headrace/db";
import { bug, type Logger } from "@headrace/kernel";
import type { PoolConfig } from "pg";
import { config, databaseAddress, type Purpose } from "./config.ts";
import type { DatabaseAddress, Through } from "./links.ts";
import { loggable, logger } from "./log.ts";
import { checkSession, stripStatementNames } from "./pools-shared-session.ts";
import { poolSize } from "./pools-size.ts";
import { type Connections, type PurposeSql, purposeSql } from "./pools-sql.ts";
import { connectWaitMillis, REQUEST_WAIT_MILLIS } from "./pools-wait.ts";

export interface PoolLimits {
  readonly maxConnections: number;
  /**
   * Of one statement; undefined leaves it to the role. The server is told where it is spoken to
   * directly; through a proxy or pooler the role's own limit must be no longer.
   */
  readonly statementTimeoutMillis?: number;
  /** For a connection; default: what a request waits. */
  readonly connectTimeoutMillis?: number;
}

/** 25 s is what HTTP allows of the role's 60 s, and stays below the gateway's 30 s. */
const statementTimeouts: Partial<Record<Purpose, number>> = { reports: 25_000 };

const KEEPALIVE_MILLIS = 10_000;
/** A database that scales to zero sleeps only when nobody is connected. */
const IDLE_TIMEOUT_MILLIS = 10_000;

/** Runs on each new connection before its first use; a throw closes it and is thrown to whoever waits. */
export type ConnectionCheck = (connection: Sql) => Promise<void>;

/** Whoever writes must know that transaction ids went on from where they were. */
const writers: ReadonlySet<Purpose> = new Set(["worker", "orders"]);
const readers: ReadonlySet<Purpose> = new Set(["reports"]);

const pools = new Map<Purpose, Pool>();
const sqls = new Map<Purpose, PurposeSql>();
/** Through a pooler: its driver is loaded where it is needed and nowhere else. */
const pooled = new Map<Purpose, Promise<Pool>>();

/**
 * The pool of `purpose`; throws `config.missing`, and `config.invalid` where a pooler lies between:
 * a COPY or a long transaction wants a connection of its own.
 */
export function pool(purpose: Purpose): Pool {
  let open = pools.get(purpose);
  if (open === undefined) {
    const address = databaseAddress(purpose);
    if (address.through === "pooler")
      throw bug(
        "config.invalid",
        `the database for ${purpose} is linked through a pooler: link the direct one to this function`,
      );
    open = openPool(address, purpose, limitsOf(purpose), checkOf(purpose));
    pools.set(purpose, open);
  }
  return open;
}

/** Statements and short transactions, whatever lies between. */
export function sqlOf(purpose: Purpose): PurposeSql {
  let sql = sqls.get(purpose);
  if (sql === undefined) {
    const { through } = databaseAddress(purpose);
    sql = purposeSql(through === "pooler" ? connectionsOfPooler(purpose) : pool(purpose), {
      readOnly: readers.has(purpose),
      // Servers may be switched behind connections that stay.
      ...(through !== "server" && writers.has(purpose) ? { before: checkEpoch } : {}),
    });
    sqls.set(purpose, sql);
  }
  return sql;
}

const connectionsOfPooler = (purpose: Purpose): Connections => ({
  async connect() {
    let open = pooled.get(purpose);
    if (open === undefined) {
      open = openPooled(purpose);
      pooled.set(purpose, open);
    }
    return (await open).connect();
  },
});

async function openPooled(purpose: Purpose): Promise<Pool> {
  const { neonDriver } = await import("./pools-neon.ts");
  return openPool(
    databaseAddress(purpose),
    purpose,
    limitsOf(purpose),
    undefined,
    logger,
    neonDriver,
  );
}

const limitsOf = (purpose: Purpose): PoolLimits => {
  const statementTimeoutMillis = statementTimeouts[purpose];
  return {
    maxConnections: poolSize(purpose, config().deployed),
    connectTimeoutMillis: connectWaitMillis(purpose, config().deployed),
    ...(statementTimeoutMillis === undefined ? {} : { statementTimeoutMillis }),
  };
};

const checkOf = (purpose: Purpose): ConnectionCheck | undefined =>
  writers.has(purpose) ? checkEpoch : undefined;

/** Ends every pool once its connections are given back; the next `pool()` opens a new one. */
export async function closePools(): Promise<void> {
  const open = [...pools.values(), ...pooled.values()];
  pools.clear();
  pooled.clear();
  sqls.clear();
  await Promise.all(open.map(async (each) => (await each).end()));
}

/** Makes the pool itself; the WebSocket driver's where a pooler lies between. */
export type PoolDriver = (config: PoolConfig) => Pool;

/** A pool with this module's rules, outside of the shared ones. */
export function openPool(
  address: DatabaseAddress | string,
  name: string,
  limits: PoolLimits,
  check?: ConnectionCheck,
  log: () => Logger = logger,
  driver: PoolDriver = createPool,
): Pool {
  const { url, through } =
    typeof address === "string" ? ({ url: address, through: "server" } as const) : address;
  const opened = driver({
    connectionString: url,
    max: limits.maxConnections,
    connectionTimeoutMillis: limits.connectTimeoutMillis ?? REQUEST_WAIT_MILLIS,
    idleTimeoutMillis: IDLE_TIMEOUT_MILLIS,
    allowExitOnIdle: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MILLIS,
    application_name: `headrace ${name}`,
    ...sessionOf(through, limits),
    ...onConnectOf(through, check),
  });
  if (through !== "server") opened.on("connect", stripStatementNames);
  opened.on("error", (error) => {
    log().warn("an idle database connection was lost", { pool: name, error: loggable(error) });
  });
  return opened;
}

function sessionOf(through: Through, { statementTimeoutMillis }: PoolLimits): PoolConfig {
  // For a server that no longer answers at all.
  const timeouts =
    statementTimeoutMillis === undefined ? {} : { query_timeout: statementTimeoutMillis + 2_000 };
  if (through !== "server") return timeouts;
  return {
    ...timeouts,
    // The roles say the same; a URL of another role must not change what a report answers.
    options: "-c timezone=UTC -c datestyle=ISO",
    ...(statementTimeoutMillis === undefined ? {} : { statement_timeout: statementTimeoutMillis }),
  };
}

function onConnectOf(through: Through, check: ConnectionCheck | undefined): PoolConfig {
  if (through === "server") return check === undefined ? {} : { onConnect: check };
  return {
    async onConnect(connection) {
      await checkSession(connection);
      await check?.(connection);
    },
  };
}

async function checkEpoch(connection: Sql): Promise<void> {
  const { epoch, raised } = await ensureEpoch(connection);
  if (!raised) return;
  logger().warn("the database runs on another server than before; the epoch was raised", { epoch });
}
