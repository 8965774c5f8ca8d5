/**
 * `node infra/install-platform.ts`: brings SST's components and their types (`.sst/platform`, 350 MB,
 * not tracked), which checking types and the tests of `infra/` need, where they are missing or of
 * another version. They come from npm alone: no AWS account is asked.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
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

/** Runs `install` unless `folder` has this version. Of several processes one does, the others wait. */
export async function installOnce(
  folder: string,
  version: string,
  install: () => Promise<void>,
): Promise<void> {
  const stamp = join(folder, STAMP);
  const isInstalled = async () => (await readFile(stamp, "utf8").catch(() => "")) === version;
  if (await isInstalled()) return;
  await mkdir(folder, { recursive: true });
  const lock = join(folder, LOCK);
  while (!(await takeLock(lock))) await sleep(LOOK_MS);
  try {
    if (await isInstalled()) return;
    await install();
    await writeFile(stamp, version);
  } finally {
    await rm(lock, { force: true });
  }
}

/** False while another process that lives holds it. */
async function takeLock(path: string): Promise<boolean> {
  try {
    await writeFile(path, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const holder = Number(await readFile(path, "utf8").catch(() => ""));
  if (holder > 0 && !isAlive(holder)) await rm(path, { force: true });
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** What the platform is made from: SST's command and the providers that the configuration names. */
async function wantedVersion(): Promise<string> {
  const command = await readFile(join(ROOT, "node_modules/sst/package.json"), "utf8");
  const config = await readFile(join(ROOT, "sst.config.ts"), "utf8");
  const providers = /providers:.*/.exec(config)?.[0] ?? "";
  const { version } = JSON.parse(command) as { version: string };
  return `${version} ${createHash("sha256").update(providers).digest("hex")}`;
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
