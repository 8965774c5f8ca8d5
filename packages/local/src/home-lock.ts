/**
 * One owner per folder. The lock is a file that names its owner's process; a lock whose process is
 * gone is taken over, by exactly one of those who try.
 *
 * Holds between processes that see each other's pids: not between two containers on one volume.
 */
import { randomUUID } from "node:crypto";
import {
  existsSync,
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { conflict } from "@headrace/kernel";
import { identifyProcess, isRunning, type ProcessIdentity } from "./child-identity.ts";

export interface FolderLock {
  /** Safe to call twice. */
  release(): void;
}

interface Owner extends ProcessIdentity {
  readonly nonce: string;
}

/** Throws `conflict` (`folder.in_use`) that names the living owner. */
export function lockFolder(folder: string): FolderLock {
  return lockFile(join(folder, "lock.json"), folder);
}

/** The living process that holds the folder's lock. */
export function folderOwner(folder: string): ProcessIdentity | undefined {
  const owner = readOwner(join(folder, "lock.json"));
  return owner !== undefined && isRunning(owner) ? owner : undefined;
}

function lockFile(path: string, folder: string): FolderLock {
  const me = identifyProcess(process.pid);
  if (me === undefined) throw new Error("this process cannot be identified");
  const mine: Owner = { ...me, nonce: randomUUID() };
  // Written whole before it gets its name: nobody ever reads half a lock.
  const draft = `${path}.${mine.nonce}`;
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600 });
  try {
    while (!linkOnce(draft, path) && !takeOver(path, draft, folder));
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    release() {
      if (readOwner(path)?.nonce === mine.nonce) unlinkSync(path);
    },
  };
}

/**
 * Puts the draft in the place of a dead owner's lock; false when that lock has changed meanwhile.
 * Two who find the same dead owner contend for a lock named after that owner, and its holder looks
 * again before it acts. Without that the slower of the two would replace the faster one's new lock.
 */
function takeOver(path: string, draft: string, folder: string): boolean {
  const owner = readOwner(path);
  if (owner !== undefined && isRunning(owner))
    throw conflict(
      "folder.in_use",
      `${folder} is in use by process ${owner.pid}. Stop that process, or choose another folder.`,
    );
  if (owner === undefined && !existsSync(path)) return false;
  const right = lockFile(`${path}.after-${owner?.nonce ?? "unreadable"}`, folder);
  try {
    if (readOwner(path)?.nonce !== owner?.nonce) return false;
    renameSync(draft, path);
    return true;
  } finally {
    right.release();
  }
}

/** A name that exists is never replaced by a link: of several that try, one succeeds. */
function linkOnce(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** Undefined when there is no lock, or one that was cut short by a crash of the machine. */
function readOwner(path: string): Owner | undefined {
  try {
    const owner = JSON.parse(readFileSync(path, "utf8")) as Partial<Owner>;
    const { pid, began, nonce } = owner;
    if (typeof pid !== "number" || typeof began !== "string" || typeof nonce !== "string")
      return undefined;
    return { pid, began, nonce };
  } catch {
    return undefined;
  }
}
