/**
 * The roles that functions connect as, with limits that the database itself enforces.
 *
 * Roles belong to the whole server, databases share them. Their passwords are made from the owner's,
 * so that whoever may create them can also connect as them, and nothing more has to be kept secret.
 */
import { createHmac } from "node:crypto";
import { invalid } from "@headrace/kernel";
import type { Sql } from "./sql.ts";

export const ROLES = ["headrace_worker", "headrace_orders", "headrace_reports"] as const;
export type Role = (typeof ROLES)[number];

/** A frozen function must not hold a partition, a lease or the cut for longer than this. */
const WRITER = {
  idle_in_transaction_session_timeout: "3s",
  transaction_timeout: "10s",
  lock_timeout: "5s",
  tcp_keepalives_idle: "10",
  tcp_keepalives_interval: "10",
  tcp_keepalives_count: "3",
  timezone: "UTC",
} as const;

const SETTINGS: Record<Role, Readonly<Record<string, string>>> = {
  headrace_worker: { ...WRITER, default_transaction_isolation: "read committed" },
  headrace_orders: {
    ...WRITER,
    default_transaction_isolation: "read committed",
    statement_timeout: "5s",
    work_mem: "64MB",
  },
  headrace_reports: {
    default_transaction_isolation: "repeatable read",
    default_transaction_read_only: "on",
    statement_timeout: "60s",
    idle_in_transaction_session_timeout: "10s",
    lock_timeout: "2s",
    tcp_keepalives_idle: "10",
    tcp_keepalives_interval: "10",
    tcp_keepalives_count: "3",
    timezone: "UTC",
    // The large size has 512 MB; one machine shares its memory with Kafka and the functions.
    work_mem: "64MB",
  },
};

const CONNECTIONS: Record<Role, number> = {
  headrace_worker: 40,
  headrace_orders: 100,
  headrace_reports: 20,
};

export function rolePassword(ownerUrl: string, role: Role): string {
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
export async function provisionRoles(owner: Sql, ownerUrl: string): Promise<void> {
  const { rows } = await owner.query<{ rolname: string }>(
    "select rolname from pg_roles where rolname = any ($1)",
    [ROLES],
  );
  const known = new Set(rows.map((row) => row.rolname));
  for (const role of ROLES) {
    // Names and settings are the constants above and the password is hexadecimal: DDL takes no parameters.
    if (!known.has(role)) await owner.query(`create role ${role}`);
    await owner.query(
      `alter role ${role} login connection limit ${CONNECTIONS[role]} password '${rolePassword(ownerUrl, role)}'`,
    );
    for (const [name, value] of Object.entries(SETTINGS[role])) {
      await owner.query(`alter role ${role} set ${name} = '${value}'`);
    }
  }
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
