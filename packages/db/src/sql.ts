/**
 * How Headrace talks to PostgreSQL: pools whose types lose nothing, and transactions.
 *
 * bigint columns come back as numbers (all of ours stay below 2^53), timestamptz as microseconds
 * since 1970 (a `Date` would lose the last three digits), numeric as text.
 */
import pg from "pg";

export type Pool = pg.Pool;
export type Client = pg.PoolClient;

/** Whatever runs a statement: a pool, or one connection of it. */
export interface Sql {
  query<Row extends pg.QueryResultRow>(
    text: string | pg.QueryConfig,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>>;
}

const MICROS_PER_MILLI = 1000;

/** RFC 3339 in UTC with six digits, as PostgreSQL reads it exactly. */
export function instantText(micros: number): string {
  const millis = Math.floor(micros / MICROS_PER_MILLI);
  const rest = micros - millis * MICROS_PER_MILLI;
  return `${new Date(millis).toISOString().slice(0, -1)}${String(rest).padStart(3, "0")}Z`;
}

/** The inverse of PostgreSQL's own output in time zone UTC (`2026-01-01 10:00:00.5+00`). */
function instantMicros(text: string): number {
  if (text === "infinity") return Number.POSITIVE_INFINITY;
  if (text === "-infinity") return Number.NEGATIVE_INFINITY;
  const point = text.indexOf(".");
  const end = text.length - 3;
  const digits = point < 0 ? "" : text.slice(point + 1, end);
  const seconds = text.slice(0, point < 0 ? end : point);
  return (
    Date.parse(`${seconds.replace(" ", "T")}Z`) * MICROS_PER_MILLI + Number(digits.padEnd(6, "0"))
  );
}

const INT8 = 20;
const TIMESTAMPTZ = 1184;
const parsers = new Map<number, (text: string) => unknown>([
  [INT8, Number],
  [TIMESTAMPTZ, instantMicros],
]);

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    (format !== "binary" && parsers.get(oid)) ||
    pg.types.getTypeParser(oid, format as "text")) as pg.CustomTypesConfig["getTypeParser"],
};

/**
 * A pool with Headrace's types, of another driver with the same shape where one is given. Its errors
 * on idle connections are the caller's to report.
 */
export function createPool(config: pg.PoolConfig, Driver: typeof pg.Pool = pg.Pool): Pool {
  return new Driver({ ...config, types });
}

export type Isolation = "read committed" | "repeatable read";

/**
 * Runs `work` in one transaction on one connection of `pool`. What `work` throws rolls back and is
 * thrown on; a connection that did not survive is not put back.
 */
export async function inTransaction<Result>(
  pool: Pick<Pool, "connect">,
  isolation: Isolation,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  // Without a listener the loss of a connection between two statements would end the process; the
  // next statement reports it.
  const ignore = (): void => {};
  client.on("error", ignore);
  let broken = false;
  try {
    await client.query(`begin isolation level ${isolation}`);
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (error) {
    broken = isUnanswered(error) || !(await rolledBack(client));
    throw error;
  } finally {
    client.off("error", ignore);
    client.release(broken);
  }
}

const rolledBack = (client: Client): Promise<boolean> =>
  client.query("rollback").then(
    () => true,
    () => false,
  );

/** The driver stopped waiting (`query_timeout`): whatever is sent next would wait for as long again. */
const isUnanswered = (error: unknown): boolean =>
  error instanceof Error && error.message === "Query read timeout";

/** What PostgreSQL sent as an error, whichever driver read it: each has a class of its own for it. */
interface SentError extends Error {
  readonly severity: string;
  readonly code?: string;
  readonly table?: string;
  readonly constraint?: string;
}

const isSent = (error: unknown): error is SentError =>
  error instanceof Error && "severity" in error;

/** The SQLSTATE of an error that PostgreSQL sent, else undefined. */
export function sqlState(error: unknown): string | undefined {
  return isSent(error) ? error.code : undefined;
}

/** What may be told of an error to anybody: PostgreSQL's messages, and others', may quote data. */
export function reasonWithoutData(error: unknown): string {
  if (!isSent(error)) return error instanceof Error ? error.name : typeof error;
  const { code, table, constraint } = error;
  const where = [table && `table ${table}`, constraint && `constraint ${constraint}`];
  const named = where.filter((part) => part !== undefined && part !== "").join(", ");
  return named === "" ? `SQLSTATE ${code}` : `SQLSTATE ${code} (${named})`;
}

/** Whether PostgreSQL's error says which constraint a row breaks. */
export function namesConstraint(error: unknown): boolean {
  return isSent(error) && error.constraint !== undefined;
}

const SERIALISATION_FAILURE = "40001";
const MAX_REPEATS = 5;

/** Repeats a repeatable-read transaction that met a concurrent change; it changed nothing. */
export async function repeated<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (sqlState(error) !== SERIALISATION_FAILURE || attempt === MAX_REPEATS) throw error;
    }
  }
}
