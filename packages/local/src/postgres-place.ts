/**
 * Where a PostgreSQL server's files live, and with whose rights it runs.
 *
 * PostgreSQL refuses to run as root, so root hands it to an unprivileged account. That account must
 * be able to enter the folder: where it cannot (a folder of mode 700 on the way) the files live
 * beneath /var/lib/headrace or the temporary folder, and the folder holds a pointer to that place, so
 * that the next start finds it and whoever deletes the folder also forgets the place. Permissions of
 * folders that we did not make are never changed.
 */
import { randomBytes } from "node:crypto";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { conflict, unavailable } from "@headrace/kernel";
import { type Account, runTool } from "./child.ts";

export interface PostgresPlace {
  /** Undefined: with our own rights. */
  readonly account: Account | undefined;
  /** Holds `data` and, where needed, a copy of the binaries; the folder itself if that can be. */
  readonly container: string;
  /** True when the container is not the folder that was asked for. */
  readonly outside: boolean;
}

const POINTER = "moved-to.json";
/** In a place outside: proves that we made it, and says for which folder. */
const MARKER = "headrace.json";

const outsideRoots = (): readonly string[] => ["/var/lib/headrace", join(tmpdir(), "headrace")];

/** `folder` exists. Throws `unavailable` when root finds no account or no place. */
export async function findPostgresPlace(folder: string): Promise<PostgresPlace> {
  if (process.getuid?.() !== 0) return { account: undefined, container: folder, outside: false };
  const moved = await readPointer(folder);
  const owner = await dataOwner(join(moved ?? folder, "data"));
  const account = owner ?? (await unprivilegedAccount());
  if (moved !== undefined) return { account, container: moved, outside: true };
  if (await canEnter(account, folder)) return { account, container: folder, outside: false };
  return { account, container: await moveOutside(folder, account), outside: true };
}

/** The place outside that holds this folder's files; undefined when there is none any more. */
export async function findOutsidePlace(folder: string): Promise<string | undefined> {
  return await readPointer(folder).catch(() => undefined);
}

/** Data that exists keeps its owner: PostgreSQL refuses data that is not its account's own. */
async function dataOwner(data: string): Promise<Account | undefined> {
  const found = await stat(data).catch(() => undefined);
  if (found === undefined || found.uid === 0) return undefined;
  return { name: `uid ${found.uid}`, uid: found.uid, gid: found.gid };
}

async function unprivilegedAccount(): Promise<Account> {
  const lines = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n");
  for (const wanted of ["postgres", "nobody"]) {
    const fields = lines.find((line) => line.startsWith(`${wanted}:`))?.split(":");
    if (fields === undefined) continue;
    const account = { name: wanted, uid: Number(fields[2]), gid: Number(fields[3]) };
    if (account.uid > 0 && (await canEnter(account, "/"))) return account;
  }
  throw unavailable(
    "postgres.no_account",
    "PostgreSQL refuses to run as root, and root cannot start it as `postgres` or `nobody` here. Start as an ordinary user, or set DATABASE_URL to a PostgreSQL 17 or 18 that runs already.",
  );
}

/** Asks the system itself, as the account: modes alone do not tell (ACLs, mounts, capabilities). */
async function canEnter(account: Account, folder: string): Promise<boolean> {
  try {
    const tried = await runTool("/bin/sh", ["-c", 'cd "$1"', "sh", folder], { account, cwd: "/" });
    return tried.code === 0;
  } catch {
    return false; // EPERM: this root may not change accounts
  }
}

/** A new place, with the data of an earlier start if the folder could be entered then. */
async function moveOutside(folder: string, account: Account): Promise<string> {
  for (const root of outsideRoots()) {
    const place = await makePlace(root, folder, account);
    if (place === undefined) continue;
    await carryOver(join(folder, "data"), join(place, "data"));
    await writeFile(join(folder, POINTER), JSON.stringify({ place }));
    return place;
  }
  throw unavailable(
    "postgres.no_place",
    `PostgreSQL refuses to run as root; as \`${account.name}\` it can enter neither ${folder} nor ${outsideRoots().join(" nor ")}. Choose a folder that others can enter with --home, or start as an ordinary user.`,
  );
}

async function makePlace(
  root: string,
  folder: string,
  account: Account,
): Promise<string | undefined> {
  const place = join(root, randomBytes(8).toString("hex"));
  try {
    await mkdir(root, { mode: 0o755 }).catch(ignoreExisting);
    if (!(await isOurs(root))) return undefined;
    await mkdir(place);
    await chmod(place, 0o755);
    if (await canEnter(account, place)) {
      await writeFile(join(place, MARKER), JSON.stringify({ folder }));
      return place;
    }
    await rm(place, { recursive: true });
  } catch {
    // A read-only or missing parent: the next root may do.
  }
  return undefined;
}

/** In a shared folder somebody else may have put a folder or a link of that name there first. */
async function isOurs(root: string): Promise<boolean> {
  const found = await lstat(root);
  return found.isDirectory() && found.uid === 0 && (found.mode & 0o022) === 0;
}

async function carryOver(from: string, to: string): Promise<void> {
  if ((await stat(from).catch(() => undefined)) === undefined) return;
  const { code, output } = await runTool("cp", ["-a", from, `${to}.part`]);
  if (code !== 0)
    throw unavailable("postgres.not_moved", `Cannot copy ${from} to ${to}: ${output}`);
  await rename(`${to}.part`, to);
  await rm(from, { recursive: true });
}

/** Where the folder's files are, if outside. Refuses a pointer that leads anywhere but to our places. */
async function readPointer(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, POINTER), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const { place } = JSON.parse(text) as { place: string };
  const known = outsideRoots().includes(dirname(place)) && /^[0-9a-f]{16}$/.test(basename(place));
  const marker = await readFile(join(place, MARKER), "utf8").catch(() => undefined);
  if (known && marker !== undefined) return place;
  throw conflict(
    "postgres.place_is_gone",
    `The database of ${folder} was kept in ${place}, which is gone. Put it back, or begin with empty data: \`npm start -- --fresh\`.`,
  );
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
}

/** A folder of its own for the account, below a container that stays ours. */
export async function makeOwnFolder(path: string, account: Account | undefined): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  if (account !== undefined) await chown(path, account.uid, account.gid);
}
