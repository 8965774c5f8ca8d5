/**
 * Declared joins: listed, declared, changed, removed.
 *
 * A changed declaration is a new version that fills while the old one answers. One lock for all
 * changes; the follower is not kept waiting, it meets a changed row and begins again.
 */
import { conflict, notFound } from "@headrace/kernel";
import type { Client, Sql } from "../sql.ts";

const MAX_JOINS = 20;

export interface JoinDeclaration {
  readonly leftType: string;
  readonly rightType: string;
  readonly withinMicros: number;
}

export interface JoinVersion extends JoinDeclaration {
  readonly joinId: number;
  readonly name: string;
  readonly state: "filling" | "active";
  /** Its left events from here on are finished; µs, infinite at either end. */
  readonly filledFromMicros: number;
  /** How much of the time that its left events span is filled: 0 to 1. */
  readonly filled: number;
}

/** A join by its name: what answers, and what will once it is filled. At least one of them. */
export interface DeclaredJoin {
  readonly name: string;
  readonly active: JoinVersion | undefined;
  readonly filling: JoinVersion | undefined;
}

interface JoinRow extends Record<string, unknown> {
  join_id: number;
  name: string;
  left_type: string;
  right_type: string;
  within_micros: number;
  state: "filling" | "active";
  filled_from: number;
  fill_start: number | null;
  fill_end: number | null;
}

/** By name; `name`: that one alone. */
export async function readJoins(sql: Sql, name: string | null = null): Promise<DeclaredJoin[]> {
  const { rows } = await sql.query<JoinRow>({
    name: "read-joins",
    text: `select join_id, name, left_type, right_type, within_micros, state, filled_from, fill_start, fill_end
           from joins
           where state <> 'retired'
             and ($1::text is null or name = $1)
           order by name collate "C"`,
    values: [name],
  });
  const byName = Map.groupBy(rows.map(versionOf), (version) => version.name);
  return [...byName].map(([known, versions]) => ({
    name: known,
    active: versions.find(({ state }) => state === "active"),
    filling: versions.find(({ state }) => state === "filling"),
  }));
}

const versionOf = (row: JoinRow): JoinVersion => ({
  joinId: row.join_id,
  name: row.name,
  leftType: row.left_type,
  rightType: row.right_type,
  withinMicros: row.within_micros,
  state: row.state,
  filledFromMicros: row.filled_from,
  filled: row.state === "active" ? 1 : filledShare(row),
});

/** It is all of it only when it answers. */
function filledShare({ filled_from: from, fill_start: start, fill_end: end }: JoinRow): number {
  if (start === null || end === null || !Number.isFinite(from)) return 0;
  const share = end > start ? (end - from) / (end - start) : 1;
  return Math.min(0.999, Math.max(0, Math.round(share * 1000) / 1000));
}

export interface Declared {
  readonly join: DeclaredJoin;
  readonly outcome: "unchanged" | "made" | "changed";
  /** Its types of which no event has come so far, for all that is known of types. */
  readonly unseenTypes: readonly string[];
}

/**
 * In the caller's transaction, which may write. What is declared already stays as it is; a version
 * that was filling under the name gives way to another. Throws `join.too_many`.
 */
export async function declareJoin(
  client: Client,
  name: string,
  declaration: JoinDeclaration,
): Promise<Declared> {
  await lockDeclarations(client);
  const joins = await readJoins(client);
  const known = joins.find((join) => join.name === name);
  const isSame = (version: JoinVersion | undefined): boolean =>
    version?.leftType === declaration.leftType &&
    version.rightType === declaration.rightType &&
    version.withinMicros === declaration.withinMicros;
  const stays = isSame(known?.filling) || (isSame(known?.active) && known?.filling === undefined);
  if (!stays) {
    if (known === undefined && joins.length >= MAX_JOINS) {
      throw conflict(
        "join.too_many",
        `there are ${MAX_JOINS} joins already: remove one before you declare another`,
      );
    }
    await retire(client, name, ["filling"]);
    // Back to what answers: there is nothing to fill.
    if (!isSame(known?.active)) await insertVersion(client, name, declaration);
  }
  const [join] = stays && known !== undefined ? [known] : await readJoins(client, name);
  if (join === undefined) throw notFound("join.unknown", `there is no join ${name}`);
  const changed = known === undefined ? "made" : "changed";
  return {
    join,
    outcome: stays ? "unchanged" : changed,
    unseenTypes: await unseenTypes(client, declaration),
  };
}

async function insertVersion(
  client: Client,
  name: string,
  { leftType, rightType, withinMicros }: JoinDeclaration,
): Promise<void> {
  await client.query(
    `insert into joins (name, version, left_type, right_type, within_micros, state, filled_from)
     select $1, coalesce(max(version), 0) + 1, $2, $3, $4, 'filling', 'infinity'
     from joins
     where name = $1`,
    [name, leftType, rightType, withinMicros],
  );
}

/** In the caller's transaction, which may write. The follower deletes its rows. Throws `join.unknown`. */
export async function removeJoin(client: Client, name: string): Promise<void> {
  await lockDeclarations(client);
  if ((await retire(client, name, ["filling", "active"])) === 0) throw unknownJoin(name);
}

export const unknownJoin = (name: string) =>
  notFound("join.unknown", `there is no join ${name}: GET /v1/joins lists those that there are`);

async function retire(client: Client, name: string, states: readonly string[]): Promise<number> {
  const { rowCount } = await client.query(
    "update joins set state = 'retired' where name = $1 and state = any ($2)",
    [name, states],
  );
  return rowCount ?? 0;
}

const lockDeclarations = (client: Client): Promise<unknown> =>
  client.query("select pg_advisory_xact_lock(hashtextextended('headrace.joins', 0))");

/** Types are registered when their first event comes, until there are 1,000. */
async function unseenTypes(
  sql: Sql,
  { leftType, rightType }: JoinDeclaration,
): Promise<readonly string[]> {
  const { rows } = await sql.query<{ name: string }>(
    `select distinct name
     from unnest($1::text[]) as given (name)
     where name <> 'other'
       and not exists (select from event_types where event_type = name)
       and (select count(*) from event_types) < 1000
     order by name`,
    [[leftType, rightType]],
  );
  return rows.map(({ name }) => name);
}
