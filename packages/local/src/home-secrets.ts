/**
 * What is secret in one HOME: made by chance at its first start, kept in `secrets.json` (mode 0600),
 * the same at every later start. A secret that a newer release adds is added to the file.
 */
import { randomBytes } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { conflict } from "@headrace/kernel";
import { generateSigningKey, type SigningKey } from "./dev-issuer.ts";

export interface HomeSecrets {
  /** Of the database's owner; the roles' passwords are made from it. */
  readonly ownerPassword: string;
  /** With which the development issuer signs tokens. */
  readonly signingKey: SigningKey;
}

const newPassword = (): string => randomBytes(24).toString("base64url");

const FILE = "secrets.json";

/** Undefined when the folder has none. Throws `conflict` (`home.secrets_damaged`). */
export async function readSecrets(home: string): Promise<Partial<HomeSecrets> | undefined> {
  const path = join(home, FILE);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as Partial<HomeSecrets>;
  } catch {
    throw conflict(
      "home.secrets_damaged",
      `${path} cannot be read as JSON; it holds the database's password. Put a good copy back, or delete ${home} to begin anew.`,
    );
  }
}

/** `known`: what `readSecrets` found. */
export async function completeSecrets(
  home: string,
  known: Partial<HomeSecrets> = {},
): Promise<HomeSecrets> {
  const secrets: HomeSecrets = {
    ownerPassword: known.ownerPassword ?? newPassword(),
    signingKey: known.signingKey ?? (await generateSigningKey()),
  };
  if (Object.keys(secrets).some((name) => !(name in known)))
    await writePrivately(join(home, FILE), JSON.stringify({ ...known, ...secrets }, undefined, 2));
  return secrets;
}

/** Whole or not at all, and never readable by others, not even while it is written. */
export async function writePrivately(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, text, { mode: 0o600, flush: true });
  await rename(draft, path);
}
