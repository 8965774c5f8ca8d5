/**
 * The roles that functions connect as, with limits that the database itself enforces.
 *
 * Roles belong to the whole server, databases share them. Whoever makes them need not be a superuser:
 * a role that may create roles, as a managed service gives, manages those that it has made itself.
 */
import { createHmac } from "node:crypto";
import {
  type DatabaseRole,
  databaseRole,
  ROLE_NAMES,
  type RoleLimits,
  roleLimits,
  type Size,
} from "@headrace/capacity";
import { invalid } from "@headrace/kernel";
import pg from "pg";
import type { Sql } from "./sql.ts";

export type Role = DatabaseRole;
export const ROLES: readonly Role[] = ROLE_NAMES.map(databaseRole);

/** How far the roles may go, and what they prove themselves by. */
export interface RoleProvision {
  readonly size: Size;
  readonly passwords: Readonly<Record<Role, string>>;
}

/** One machine's: made from the owner's password, so that nothing more has to be kept secret. */
export function localProvision(ownerUrl: string): RoleProvision {
  const passwords = ROLES.map((role) => [role, rolePassword(ownerUrl, role)]);
  return { size: "local", passwords: Object.fromEntries(passwords) };
}

function rolePassword(ownerUrl: string, role: Role): string {
  const { password } = new URL(ownerUrl);
  if (password === "") {
    throw invalid(
      "database.url_without_password",
      "DATABASE_URL needs the owner's password (postgresql://owner:password@host:port/database): the roles' passwords are made from it",
    );
  }
  return createHmac("sha256", decodeURIComponent(password)).update(role).digest("hex");
}

/** The address of the same database for a role. */
export function roleUrl(ownerUrl: string, role: Role): string {
  const url = new URL(ownerUrl);
  url.password = rolePassword(ownerUrl, role);
  url.username = role;
  return url.href;
}

/**
 * Makes the roles where they are missing and sets their limits, in the caller's transaction. Safe to
 * repeat. The roles are shared by all databases of the server and no lock reaches over them: where
 * another database's owner does the same at this moment it fails and is to be repeated.
 */
export async function provisionRoles(owner: Sql, provision: RoleProvision): Promise<void> {
  const { rows } = await owner.query<{ rolname: string }>(
    "select rolname from pg_roles where rolname = any ($1)",
    [ROLES],
  );
  const known = new Set(rows.map((row) => row.rolname));
  const limits = roleLimits(provision.size);
  for (const name of ROLE_NAMES) {
    const role = databaseRole(name);
    const { connections, ...bounds } = limits[name];
    // DDL takes no parameters; names and values are constants of this release.
    if (!known.has(role)) await owner.query(`create role ${role}`);
    await owner.query(
      `alter role ${role} login connection limit ${connections} password ${pg.escapeLiteral(provision.passwords[role])}`,
    );
    for (const [setting, value] of Object.entries(roleSettings(role, bounds))) {
      await owner.query(
        value === undefined
          ? `alter role ${role} reset ${setting}`
          : `alter role ${role} set ${setting} = '${value}'`,
      );
    }
    await seeSessionsOf(owner, role);
  }
}

/** Undefined: the server's own. Written out, so that a size that has none takes the former one's away. */
function roleSettings(
  role: Role,
  limits: Omit<RoleLimits, "connections">,
): Readonly<Record<string, string | undefined>> {
  const isReader = role === databaseRole("reports");
  return {
    work_mem: `${limits.workMemMegabytes}MB`,
    statement_timeout: millis(limits.statementTimeoutMs),
    transaction_timeout: millis(limits.transactionTimeoutMs),
    idle_in_transaction_session_timeout: millis(limits.idleInTransactionTimeoutMs),
    lock_timeout: millis(limits.lockTimeoutMs),
    default_transaction_isolation: isReader ? "repeatable read" : "read committed",
    default_transaction_read_only: isReader ? "on" : undefined,
    // Crons stand back behind ingest and orders: two cores for one of them would be taken from those.
    max_parallel_workers_per_gather: isReader ? undefined : "0",
    tcp_keepalives_idle: "10",
    tcp_keepalives_interval: "10",
    tcp_keepalives_count: "3",
    timezone: "UTC",
  };
}

const millis = (value: number | undefined): string | undefined =>
  value === undefined ? undefined : `${value}ms`;

/**
 * `xmin_age_seconds` looks at these roles' sessions with the owner's eyes, and PostgreSQL shows a
 * session's transaction only to whoever has its role's rights. Making a role gives the right to give
 * it, not the role itself. Sessions of others (a person's, the service's) stay unseen unless the owner
 * is a member of `pg_monitor`, as RDS and Neon make theirs.
 */
async function seeSessionsOf(owner: Sql, role: Role): Promise<void> {
  const { rows } = await owner.query<{ sees: boolean }>(
    "select pg_has_role(current_user, $1, 'usage') as sees",
    [role],
  );
  if (rows[0]?.sees === true) return;
  await owner.query(`grant ${role} to current_user with inherit true, set false`);
}

/** Every role may make temporary tables, which no limit bounds, unless that is taken away. */
export async function forbidTemporaryTables(owner: Sql): Promise<void> {
  await owner.query(
    `do $$
     begin
       if has_database_privilege('public', current_database(), 'temporary') then
         execute format('revoke temporary on database %I from public', current_database());
       end if;
     end
     $$`,
  );
}

/** Limits that a role cannot be given and the server does not set itself, by name; none is as it should be. */
export async function unsetLimits(sql: Sql): Promise<readonly string[]> {
  const { rows } = await sql.query<{ name: string }>(
    "select name from pg_settings where name = 'temp_file_limit' and setting = '-1'",
  );
  return rows.map(({ name }) => name);
}

/** Sessions that the server as it runs allows: it reads the parameter at its start alone. */
export async function allowedConnections(sql: Sql): Promise<number> {
  const { rows } = await sql.query<{ allowed: number }>(
    "select current_setting('max_connections')::integer as allowed",
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the server answered without a row");
  return row.allowed;
}
