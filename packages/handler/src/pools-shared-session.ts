/**
 * What differs on connections that a proxy or pooler shares among its clients: a session's settings
 * and prepared statements belong to whoever had the server's connection before, or next.
 */
import type { Client, Sql } from "@headrace/db";
import { bug } from "@headrace/kernel";

/**
 * Throws `database.session` unless the role itself speaks UTC and ISO dates: times are read from their
 * text, and another zone would shift them unseen.
 */
export async function checkSession(connection: Sql): Promise<void> {
  const { rows } = await connection.query<{ zone: string; style: string }>(
    "select current_setting('timezone') as zone, current_setting('datestyle') as style",
  );
  const [session] = rows;
  if (session?.zone === "UTC" && session.style.startsWith("ISO")) return;
  throw bug(
    "database.session",
    `the database's role has timezone ${session?.zone} and datestyle ${session?.style}: set them to UTC and ISO (alter role … set …), as the migration does`,
  );
}

/**
 * A named statement is prepared on one connection of the server and missing on the next; without its
 * name it is parsed for each use.
 */
export function stripStatementNames(client: Client): void {
  const query = client.query.bind(client) as (first: unknown, ...rest: unknown[]) => unknown;
  const stripped = (first: unknown, ...rest: unknown[]): unknown =>
    query(isNamed(first) ? { ...first, name: undefined } : first, ...rest);
  client.query = stripped as typeof client.query;
}

/** A statement as data; what submits itself (a COPY) is passed on as it is. */
const isNamed = (statement: unknown): statement is { readonly name: unknown } =>
  typeof statement === "object" &&
  statement !== null &&
  "name" in statement &&
  !("submit" in statement);
