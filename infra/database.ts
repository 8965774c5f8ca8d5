/**
 * The database and the addresses by which functions reach it: one link for each role, straight to the
 * server, and one more for HTTP functions, through what shares connections out among them.
 *
 * The roles themselves are made by the deploy (`functions/deploy/prepare-stage`), with the passwords
 * made here.
 */
import { databaseRole, ROLE_NAMES, type RoleName } from "@headrace/capacity";
import { createAurora } from "./database-aurora.ts";
import { createLocalDatabase } from "./database-local.ts";
import { readNeon } from "./database-neon.ts";
import { createRds } from "./database-rds.ts";
import { type DatabaseServer, databaseUrl, type Login, type Through } from "./database-url.ts";
import type { Network } from "./network.ts";
import type { Stage } from "./settings.ts";

export interface Place {
  readonly server: $util.Input<DatabaseServer>;
  readonly through: Through;
}

/** Where a database of any kind is, and as whom it is owned. */
export interface DatabaseHosts {
  readonly owner: $util.Input<Login>;
  readonly direct: Place;
  /** For HTTP functions. */
  readonly pooled: Place;
  /** Of AWS, by which its own metrics are told apart. */
  readonly instanceId?: $util.Output<string>;
  readonly clusterId?: $util.Output<string>;
  readonly proxyName?: $util.Output<string>;
  /** What has to be there, with all that belongs to it, before anybody connects. */
  readonly made: readonly $util.Resource[];
  /** Whether its certificates are signed by an authority that only AWS's list has. */
  readonly hasAwsCertificate: boolean;
}

type Link = sst.Linkable<{ url: $util.Output<string>; through: Through }>;

export interface Database extends Omit<DatabaseHosts, "owner" | "direct" | "pooled"> {
  readonly owner: Link;
  readonly direct: Readonly<Record<RoleName, Link>>;
  readonly pooled: Readonly<Record<RoleName, Link>>;
}

export type RolePasswords = Readonly<Record<RoleName, $util.Output<string>>>;

export function createDatabase(stage: Stage, network: Network | undefined): Database {
  const passwords = eachRole(
    (role) =>
      new random.RandomPassword(`DatabasePassword${titled(role)}`, { length: 40, special: false })
        .result,
  );
  const { owner, direct, pooled, ...rest } = createHosts(stage, network, passwords);
  const login = (role: RoleName): $util.Output<Login> =>
    passwords[role].apply((password) => ({ username: databaseRole(role), password }));
  return {
    ...rest,
    owner: linkOf("DatabaseOwner", direct, owner),
    direct: eachRole((role) => linkOf(`Database${titled(role)}`, direct, login(role))),
    pooled: eachRole((role) => linkOf(`Database${titled(role)}Pooled`, pooled, login(role))),
  };
}

function createHosts(
  stage: Stage,
  network: Network | undefined,
  passwords: RolePasswords,
): DatabaseHosts {
  const { database } = stage;
  if ($dev) return createLocalDatabase();
  if (database.kind === "neon") return readNeon();
  if (network === undefined) throw new Error(`${database.kind} needs a network`);
  return database.kind === "rds"
    ? createRds(stage, database, network, passwords)
    : createAurora(stage, database, network);
}

function linkOf(name: string, { server, through }: Place, login: $util.Input<Login>): Link {
  const url = $util
    .all([server, login])
    .apply(([server, login]) => databaseUrl(server as DatabaseServer, login as Login));
  return new sst.Linkable(name, { properties: { url: $util.secret(url), through } });
}

const eachRole = <Value>(make: (role: RoleName) => Value): Record<RoleName, Value> =>
  Object.fromEntries(ROLE_NAMES.map((role) => [role, make(role)])) as Record<RoleName, Value>;

const titled = (word: string): string => `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
