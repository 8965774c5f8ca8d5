/**
 * What a route's `sql` is: single statements, each its own snapshot, or several in one.
 *
 * A connection is held for a statement or a snapshot, never for a request. A reader's statement that
 * died with its connection (a failover, a connection that was closed while it was idle) is sent once
 * more; a writer's never, because nobody knows whether it took effect.
 */
import { type Client, inTransaction, type Pool, type Sql } from "@headrace/db";
import type { QueryConfig, QueryResultRow } from "pg";
import { isWorthRepeating } from "./problem-database.ts";

export interface PurposeSql extends Sql {
  /** Runs `work` in one repeatable-read transaction: all its statements see the same moment. */
  snapshot<Result>(work: (sql: Client) => Promise<Result>): Promise<Result>;
  /** Runs `work` in one read-committed transaction, which `work` may write in. */
  transaction<Result>(work: (sql: Client) => Promise<Result>): Promise<Result>;
}

/** Where connections come from. */
export type Connections = Pick<Pool, "connect">;

export interface PurposeSqlOptions {
  readonly readOnly: boolean;
  /** Runs on the connection before each statement, and first in each transaction. */
  readonly before?: (connection: Sql) => Promise<void>;
}

export function purposeSql(pool: Connections, options: PurposeSqlOptions): PurposeSql {
  const { readOnly, before } = options;
  const twice = readOnly ? repeatOnce : once;
  const checked =
    <Result>(work: (sql: Client) => Promise<Result>) =>
    async (sql: Client): Promise<Result> => {
      await before?.(sql);
      return work(sql);
    };
  return {
    query: <Row extends QueryResultRow>(text: string | QueryConfig, values?: unknown[]) =>
      twice(() =>
        runOne(
          pool,
          checked((client) => client.query<Row>(text, values)),
        ),
      ),
    snapshot: (work) => twice(() => inTransaction(pool, "repeatable read", checked(work))),
    transaction: (work) => inTransaction(pool, "read committed", checked(work)),
  };
}

/** `Pool.query` throws the connection away after any error, a mere statement timeout included. */
async function runOne<Result>(
  pool: Connections,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  // Without a listener the loss of the connection would end the process; the statement reports it.
  let lost = false;
  const onLost = (): void => {
    lost = true;
  };
  client.on("error", onLost);
  try {
    return await work(client);
  } catch (error) {
    // An error that PostgreSQL itself sent leaves the connection in order.
    lost ||= !(error instanceof Error && "severity" in error && error.severity === "ERROR");
    throw error;
  } finally {
    client.off("error", onLost);
    client.release(lost);
  }
}

const once = <Result>(work: () => Promise<Result>): Promise<Result> => work();

async function repeatOnce<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!isWorthRepeating(error)) throw error;
    return work();
  }
}
