/**
 * `node infra/install-platform.ts`: brings SST's components and their types (`.sst/platform`, 350 MB,
 * not tracked), which checking types and the tests of `infra/` need, where they are missing or of
 * another version. They come from npm alone: no AWS account is asked.
 */
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const ROOT = join(import.meta.dirname, "..");
const FOLDER = join(ROOT, ".sst");
const LOOK_MS = 250;

export async function installPlatform(say: (line: string) => void = console.error): Promise<void> {
  const isThere = existsSync(join(FOLDER, "platform/config.d.ts"));
  if (!isThere) await rm(join(FOLDER, STAMP), { force: true });
  await installOnce(FOLDER, await wantedVersion(), async () => {
    say("installing SST's components into .sst/platform (once, about half a minute) …");
    await runInstall();
  });
}

/** Written last, so that an install that was interrupted is not taken for a whole one. */
const STAMP = "headrace-platform";
const LOCK = "headrace-install.lock";

export interface Waiting {
  readonly say: (line: string) => void;
  /** Between two looks at the lock. */
  readonly pause: () => Promise<unknown>;
}

/** Runs `install` unless `folder` has this version. Of several processes one does, the others wait. */
export async function installOnce(
  folder: string,
  version: string,
  install: () => Promise<void>,
  waiting: Waiting = { say: console.error, pause: () => sleep(LOOK_MS) },
): Promise<void> {
  const stamp = join(folder, STAMP);
  const isInstalled = async () => (await readFile(stamp, "utf8").catch(() => "")) === version;
  if (await isInstalled()) return;
  await mkdir(folder, { recursive: true });
  const lock = join(folder, LOCK);
  await takeLock(lock, waiting);
  try {
    if (await isInstalled()) return;
    await install();
    await writeFile(stamp, version);
  } finally {
    await rm(lock, { force: true });
  }
}

/**
 * The lock is a second name of a file that is whole: it always names its holder, whenever that dies.
 * A process that has the number of one that died is taken for it.
 */
async function takeLock(path: string, { say, pause }: Waiting): Promise<void> {
  const own = `${path}.${randomUUID()}`;
  await writeFile(own, String(process.pid), { flag: "wx" });
  try {
    for (let hasSaid = false; !(await isLinked(own, path)); await pause()) {
      const holder = await holderOf(path);
      if (holder === undefined) continue;
      if (!isAlive(holder)) {
        await rm(path, { force: true });
        continue;
      }
      if (!hasSaid)
        say(
          `waiting for process ${holder}, which installs SST's components; if there is no such install, delete ${relative(process.cwd(), path)}`,
        );
      hasSaid = true;
    }
  } finally {
    await rm(own, { force: true });
  }
}

/** False where `path` is there already. */
async function isLinked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Undefined where the lock has just been given back; 0 where it is none of ours. */
async function holderOf(path: string): Promise<number | undefined> {
  try {
    const pid = Number(await readFile(path, "utf8"));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  // Signalling 0 would ask for the process's own group.
  if (pid === 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** What the platform is made from: SST's command, and the configuration, which names the providers. */
async function wantedVersion(): Promise<string> {
  const command = await readFile(join(ROOT, "node_modules/sst/package.json"), "utf8");
  const config = await readFile(join(ROOT, "sst.config.ts"), "utf8");
  const { version } = JSON.parse(command) as { version: string };
  return `${version} ${createHash("sha256").update(config).digest("hex")}`;
}

async function runInstall(): Promise<void> {
  const child = spawn(join(ROOT, "node_modules/.bin/sst"), ["install"], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PATH: `${join(ROOT, "node_modules/.bin")}${delimiter}${process.env.PATH}`,
      // Pulumi itself comes from GitHub and only a deploy needs it; npm stands in for Bun.
      SST_SKIP_DEPENDENCY_CHECK: "1",
      SST_TELEMETRY_DISABLED: "1",
      NO_BUN: "1",
      SST_STAGE: "test",
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  if (code !== 0) throw new Error(`sst install failed (exit code ${code}):\n${output}`);
}

if (import.meta.main) await installPlatform();
