import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installOnce, type Waiting } from "../../infra/install-platform.ts";

let folder: string;
let installs: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-platform-"));
  installs = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const next = () => new Promise((resolve) => setImmediate(resolve));
const unheard: Waiting = { say: () => {}, pause: next };
const lockOf = () => join(folder, "headrace-install.lock");

const install = (version: string, waiting = unheard) =>
  installOnce(
    folder,
    version,
    async () => {
      installs.push(version);
      await next();
    },
    waiting,
  );

test("several at once install once", async () => {
  await Promise.all([install("1"), install("1"), install("1")]);
  expect(installs).toEqual(["1"]);
});

test("another version is installed over the first", async () => {
  await install("1");
  await install("2");
  await install("2");
  expect(installs).toEqual(["1", "2"]);
});

test("an install that failed is tried again", async () => {
  const failing = installOnce(folder, "1", () => Promise.reject(new Error("no network")));
  await expect(failing).rejects.toThrow("no network");
  await install("1");
  expect(installs).toEqual(["1"]);
});

test.each([
  ["of a process that died", "999999999"],
  ["that names none", ""],
])("a lock %s is taken over", async (_what, text) => {
  await writeFile(lockOf(), text);
  await install("1");
  expect(installs).toEqual(["1"]);
});

test("whoever holds the lock is named in it from its first moment, and nothing stays of it", async () => {
  const seen: string[] = [];
  const look = async () => {
    seen.push(await readFile(lockOf(), "utf8").catch(() => String(process.pid)));
  };
  const looking = { say: () => {}, pause: look };
  await Promise.all([install("1", looking), install("1", looking), install("1", looking)]);
  expect(new Set(seen)).toEqual(new Set([String(process.pid)]));
  expect(await readdir(folder)).toEqual(["headrace-platform"]);
});

test("whoever waits says once for which process, and what to delete if there is none", async () => {
  await writeFile(lockOf(), String(process.ppid));
  const said: string[] = [];
  let looks = 0;
  await install("1", {
    say: (line) => said.push(line),
    pause: async () => {
      expect(installs).toEqual([]);
      looks += 1;
      if (looks === 3) await rm(lockOf());
    },
  });
  expect(installs).toEqual(["1"]);
  expect(said).toEqual([expect.stringContaining(`waiting for process ${process.ppid}, `)]);
  expect(said[0]).toMatch(/delete .*headrace-install\.lock$/);
});
