import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installOnce } from "../../infra/install-platform.ts";

let folder: string;
let installs: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-platform-"));
  installs = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const install = (version: string) =>
  installOnce(folder, version, async () => {
    installs.push(version);
    await new Promise((resolve) => setImmediate(resolve));
  });

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

test("the lock of a process that died is taken over", async () => {
  await writeFile(join(folder, "headrace-install.lock"), "999999999");
  await install("1");
  expect(installs).toEqual(["1"]);
});
