/**
 * What a route's `sql` is: single statements, each its own snapshot, or several in one.
 *
 * A connection is held for a statement or a snapshot, never for a request. A reader's statement that
 * died with its connection (a failover, a connection that was closed while it was idle) is sent once
 * more; a writer's never, because nobody knows whether it took effect.
 */
import { type Client, inTransaction, type Pool, type Sql } from "@headrace/db";
import type { QueryConfig, QueryResult, QueryResultRow } from "pg";
import { isWorthRepeating } from "./problem-database.ts";

export interface PurposeSql extends Sql {
  /** Runs `work` in one repeatable-read transaction: all its statements see the same moment. */
  snapshot<Result>(work: (sql: Client) => Promise<Result>): Promise<Result>;
  /** Runs `work` in one read-committed transaction, which `work` may write in. */
  transaction<Result>(work: (sql: Client) => Promise<Result>): Promise<Result>;
}

export function purposeSql(pool: Pool, { readOnly }: { readonly readOnly: boolean }): PurposeSql {
  const twice = readOnly ? repeatOnce : once;
  return {
    query: <Row extends QueryResultRow>(text: string | QueryConfig, values?: unknown[]) =>
      twice(() => runOne<Row>(pool, text, values)),
    snapshot: (work) => twice(() => inTransaction(pool, "repeatable read", work)),
    transaction: (work) => inTransaction(pool, "read committed", work),
  };
}

/** `Pool.query` throws the connection away after any error, a mere statement timeout included. */
async function runOne<Row extends QueryResultRow>(
  pool: Pool,
  text: string | QueryConfig,
  values: unknown[] | undefined,
): Promise<QueryResult<Row>> {
  const client = await pool.connect();
  // Without a listener the loss of the connection would end the process; the statement reports it.
  let lost = false;
  const onLost = (): void => {
    lost = true;
  };
  client.on("error", onLost);
  try {
    return await client.query<Row>(text, values);
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
