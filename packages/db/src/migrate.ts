/**
 * Brings a database to this release's schema: roles first (the server's), then each migration in
 * its own transaction, in order, once.
 *
 * An applied file that was edited since is refused, and so is a database that a newer release has
 * migrated. Two that migrate at once queue.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError, bug, conflict, invalid, unavailable } from "@headrace/kernel";
import { connectPatiently, isSilence } from "./connect-patiently.ts";
import {
  forbidTemporaryTables,
  localProvision,
  provisionRoles,
  type RoleProvision,
} from "./roles.ts";
import { type Client, createPool, type Pool, sqlState } from "./sql.ts";

const LEAST_VERSION = 170_000;

interface Migration {
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

/** What may be kept for how long; null keeps for ever. Intervals as PostgreSQL reads them. */
export interface RetentionSettings {
  readonly state_retention?: string | null;
  readonly window_10s_retention?: string | null;
  readonly window_1m_retention?: string | null;
  /** Of raw events; goes by whole weeks. */
  readonly raw_retention?: string | null;
}

export interface MigrateOptions {
  /** Limits and passwords of the roles; default: those of one machine. */
  readonly roles?: RoleProvision;
  /** Where the owner's address is set, for messages; default: `DATABASE_URL`. */
  readonly setting?: string;
  /** For a server that is silent or starting up; default 10 s, within which a running one answers. */
  readonly waitMs?: number;
}

const SETTING = "DATABASE_URL";
const WAIT_MS = 10_000;
/** What the wait is divided into: a request that was lost on the way is made again. */
const ATTEMPTS = 3;

export interface Migrated {
  /** Names of the migrations that this call applied. */
  readonly applied: readonly string[];
}

/** `ownerUrl`: a role that may create roles and owns (or will own) everything in the database. */
export async function migrate(
  ownerUrl: string,
  settings: RetentionSettings = {},
  options: MigrateOptions = {},
): Promise<Migrated> {
  const { roles = localProvision(ownerUrl), setting = SETTING, waitMs = WAIT_MS } = options;
  const migrations = await readMigrations(await migrationsFolder());
  const pool = createPool({
    connectionString: ownerUrl,
    max: 1,
    connectionTimeoutMillis: Math.ceil(waitMs / ATTEMPTS),
  });
  pool.on("error", () => {});
  try {
    const applied = await applyAll(pool, { roles, migrations, setting, waitMs });
    await applySettings(pool, settings);
    return { applied };
  } catch (error) {
    throw explainDatabase(error, ownerUrl, setting);
  } finally {
    await pool.end();
  }
}

interface Release {
  readonly roles: RoleProvision;
  readonly migrations: readonly Migration[];
  readonly setting: string;
  readonly waitMs: number;
}

async function applyAll(
  pool: Pool,
  { roles, migrations, setting, waitMs }: Release,
): Promise<string[]> {
  const client = await connectPatiently(pool, waitMs);
  try {
    await requireVersion(client, setting);
    await client.query("set timezone = 'UTC'");
    await provisionRolesOnce(client, roles);
    await client.query("select pg_advisory_lock(hashtextextended('headrace.migrate', 0))");
    await forbidTemporaryTables(client);
    await client.query(
      `create table if not exists migrations (
         name        text        not null,
         checksum    text        not null,
         applied_at  timestamptz not null default clock_timestamp(),
         constraint migrations_pkey primary key (name)
       )`,
    );
    const applied: string[] = [];
    for (const migration of await pending(client, migrations)) {
      await inOwnTransaction(client, async () => {
        await client.query(migration.text);
        await client.query("insert into migrations (name, checksum) values ($1, $2)", [
          migration.name,
          migration.checksum,
        ]);
      });
      applied.push(migration.name);
    }
    if (applied.length > 0) {
      await client.query("select set_tx_defaults(current_epoch()) where current_epoch() > 0");
    }
    return applied;
  } finally {
    // Destroyed, so that the session's lock cannot outlive this call.
    client.release(true);
  }
}

/**
 * Roles belong to the server and advisory locks to a database, so another database that is migrated
 * at the same moment may change the same row of the catalogue; the one that lost begins again.
 */
async function provisionRolesOnce(client: Client, roles: RoleProvision): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await inOwnTransaction(client, () => provisionRoles(client, roles));
    } catch (error) {
      if (!ROLE_RACES.has(sqlState(error) ?? "") || attempt === MAX_ROLE_ATTEMPTS) throw error;
    }
  }
}

/** "tuple concurrently updated", and a role that another has just made. */
const ROLE_RACES: ReadonlySet<string> = new Set(["XX000", "23505", "42710"]);
const MAX_ROLE_ATTEMPTS = 10;

async function inOwnTransaction(client: Client, work: () => Promise<void>): Promise<void> {
  await client.query("begin");
  try {
    await work();
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

async function requireVersion(client: Client, setting: string): Promise<void> {
  const { rows } = await client.query<{ number: string; name: string }>(
    "select current_setting('server_version_num') as number, current_setting('server_version') as name",
  );
  if (Number(rows[0]?.number) >= LEAST_VERSION) return;
  throw invalid(
    "database.version",
    `Headrace needs PostgreSQL 17 or newer; the server of ${setting} is ${rows[0]?.name}`,
  );
}

async function pending(client: Client, migrations: readonly Migration[]): Promise<Migration[]> {
  const { rows } = await client.query<{ name: string; checksum: string }>(
    "select name, checksum from migrations",
  );
  const known = new Map(migrations.map((migration) => [migration.name, migration]));
  for (const { name, checksum } of rows) {
    const migration = known.get(name);
    if (migration === undefined) {
      throw conflict(
        "migration.newer",
        `the database was migrated by a newer release (${name} is not known here): run that release, or restore an older database`,
      );
    }
    if (migration.checksum !== checksum) {
      throw conflict(
        "migration.edited",
        `${name} was edited after it had been applied: restore the file and put the change into a new migration`,
      );
    }
  }
  const done = new Set(rows.map((row) => row.name));
  return migrations.filter((migration) => !done.has(migration.name));
}

/** The nearest one: beside the sources, or beside the bundle of a function that carries it along. */
async function migrationsFolder(): Promise<string> {
  for (let at = import.meta.dirname; ; at = dirname(at)) {
    const folder = join(at, "migrations");
    if ((await sqlFiles(folder)).length > 0) return folder;
    if (dirname(at) === at) break;
  }
  throw bug(
    "migration.folder_missing",
    `no folder migrations with .sql files lies at or above ${import.meta.dirname}: copy packages/db/migrations beside the bundle (copyFiles)`,
  );
}

const sqlFiles = async (folder: string): Promise<string[]> => {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith(".sql")).sort();
};

async function readMigrations(folder: string): Promise<Migration[]> {
  return Promise.all(
    (await sqlFiles(folder)).map(async (name) => {
      const text = await readFile(join(folder, name), "utf8");
      return { name, text, checksum: createHash("sha256").update(text).digest("hex") };
    }),
  );
}

async function applySettings(pool: Pool, settings: RetentionSettings): Promise<void> {
  const { state_retention, window_10s_retention, window_1m_retention, raw_retention } = settings;
  await pool.query(
    `update settings
     set state_retention      = case when $1 then $2::interval else state_retention end,
         window_10s_retention = case when $3 then $4::interval else window_10s_retention end,
         window_1m_retention  = case when $5 then $6::interval else window_1m_retention end,
         raw_retention        = case when $7 then $8::interval else raw_retention end`,
    [state_retention, window_10s_retention, window_1m_retention, raw_retention].flatMap((value) => [
      value !== undefined,
      value ?? null,
    ]),
  );
}

/** The commonest mistakes with a database's address, said so that they can be put right. */
export function explainDatabase(error: unknown, ownerUrl: string, setting = SETTING): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error;
  const { host, pathname, username } = new URL(ownerUrl);
  const silent = `the server at ${host} does not answer: start it, or correct ${setting}`;
  const remedy: Record<string, string> = {
    ECONNREFUSED: `nothing listens at ${host}: start the server, or correct ${setting}`,
    ENOTFOUND: `the host of ${host} is not known: correct ${setting}`,
    EHOSTUNREACH: silent,
    "28P01": `the server at ${host} refuses the password of ${username}: correct ${setting}`,
    "28000": `the server at ${host} does not let ${username} in: correct ${setting} or its pg_hba.conf`,
    "3D000": `the server at ${host} has no database ${pathname.slice(1)}: create it, or correct ${setting}`,
    "42501": `${username} may not do this: ${setting} must name a role that may create roles and owns the database, the same one that made the roles of Headrace on this server (${error.message})`,
  };
  const text = isSilence(error) ? silent : "code" in error ? remedy[String(error.code)] : undefined;
  return text === undefined ? error : unavailable("database.unavailable", text, { cause: error });
}
