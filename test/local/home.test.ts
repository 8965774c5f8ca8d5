import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { developmentIssuer, findRunning, openHome, readSecrets } from "@headrace/local";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runElsewhere } from "./elsewhere.ts";

let base: string;
let path: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "headrace-home-"));
  path = join(base, "home");
});
afterEach(() => rm(base, { recursive: true, force: true }));

const mode = async (...names: string[]): Promise<number> =>
  (await stat(join(path, ...names))).mode & 0o777;

const running = {
  url: "http://127.0.0.1:8787",
  token: "a token",
  databaseUrl: "postgresql://127.0.0.1",
  kafkaBrokers: ["127.0.0.1:9092"],
  pid: process.pid,
  startedAt: "2026-01-01T00:00:00Z",
};

test("secrets are made by chance, readable by their owner alone, and stay", async () => {
  const first = await openHome(path);
  await first.close();
  expect(await mode("secrets.json")).toBe(0o600);
  const again = await openHome(path);
  await again.close();
  expect(again.secrets).toEqual(first.secrets);
  expect(await readSecrets(path)).toEqual(first.secrets);

  const other = await openHome(join(base, "other"));
  await other.close();
  expect(other.secrets.ownerPassword).not.toBe(first.secrets.ownerPassword);
  expect(await developmentIssuer(first.secrets.signingKey).issue({ scopes: [] })).toMatch(/^ey/);
});

test("a secret that this release adds is added, and others are kept", async () => {
  await mkdir(path);
  await writeFile(join(path, "secrets.json"), '{"ownerPassword":"old","later":1}');
  const home = await openHome(path);
  await home.close();
  expect(home.secrets.ownerPassword).toBe("old");
  expect(await readSecrets(path)).toEqual({ ...home.secrets, later: 1 });
});

test("running.json is there, for its owner alone, from ready to close", async () => {
  const home = await openHome(path);
  expect(await findRunning(path)).toBe(undefined);
  await home.writeRunning(running);
  expect(await mode("running.json")).toBe(0o600);
  expect(await findRunning(path)).toEqual(running);
  await home.close();
  expect(await readdir(path)).not.toContain("running.json");
  expect(await findRunning(path)).toBe(undefined);
});

test("a second start is refused and told where the first one answers", async () => {
  const home = await openHome(path);
  await home.writeRunning(running);
  await expect(openHome(path)).rejects.toMatchObject({
    kind: "conflict",
    code: "home.in_use",
    message: expect.stringContaining(`process ${process.pid}, ${running.url}`),
  });
  await expect(openHome(path, { fresh: true })).rejects.toMatchObject({ code: "home.in_use" });
  expect(await findRunning(path)).toEqual(running);
  await home.close();
});

test("a HOME whose process was killed opens, and its running.json counts for nothing", async () => {
  const killed = await runElsewhere(
    "home.ts",
    `const home = await local.openHome(${JSON.stringify(path)});
    await home.writeRunning({ ...${JSON.stringify(running)}, pid: process.pid });
    console.log();`,
  );
  await expect(openHome(path)).rejects.toMatchObject({ code: "home.in_use" });
  expect((await findRunning(path))?.pid).toBe(killed.pid);
  await killed.kill();
  expect(await findRunning(path)).toBe(undefined);
  const home = await openHome(path);
  expect(await readdir(path)).not.toContain("running.json");
  await home.close();
});

test("a lock whose pid another process has by now is taken over", async () => {
  await mkdir(path);
  const stale = { pid: process.ppid, began: "another time", nonce: "stale" };
  await writeFile(join(path, "lock.json"), JSON.stringify(stale));
  const home = await openHome(path);
  await home.close();
  expect(await readdir(path)).not.toContain("lock.json");
});

test("of many that find one dead owner's lock exactly one takes it over", async () => {
  await mkdir(path);
  await writeFile(
    join(path, "lock.json"),
    JSON.stringify({ pid: 1, began: "never", nonce: "dead" }),
  );
  const count = 6;
  const contenders = Array.from({ length: count }, (_, at) =>
    runElsewhere(
      "home-lock.ts",
      `import { existsSync, writeFileSync } from "node:fs";
      writeFileSync(${JSON.stringify(base)} + "/ready-${at}", "");
      while (!existsSync(${JSON.stringify(base)} + "/go"));
      try { local.lockFolder(${JSON.stringify(path)}); console.log("mine"); }
      catch (error) { console.log(error.code); }`,
    ),
  );
  await expect.poll(async () => (await readdir(base)).length, { timeout: 15_000 }).toBe(1 + count);
  await writeFile(join(base, "go"), "");
  const ended = await Promise.all(contenders);
  const said = ended.map(({ line }) => line).sort();
  await Promise.all(ended.map((contender) => contender.kill()));
  expect(said).toEqual([...Array(count - 1).fill("folder.in_use"), "mine"]);
  expect((await readdir(path)).filter((name) => name !== "lock.json")).toEqual([]);
});

test("a fresh start empties what is ours and leaves jars and other files", async () => {
  const old = await openHome(path);
  await mkdir(join(old.postgresFolder, "data"), { recursive: true });
  await mkdir(old.kafkaFolder, { recursive: true });
  await mkdir(old.jarsFolder);
  await writeFile(join(path, "notes.txt"), "mine");
  await old.close();
  const fresh = await openHome(path, { fresh: true });
  await fresh.close();
  expect((await readdir(path)).sort()).toEqual(["jars", "logs", "notes.txt", "secrets.json"]);
  expect(fresh.secrets.ownerPassword).not.toBe(old.secrets.ownerPassword);
  expect(await readdir(base)).toEqual(["home"]);
});

test("a folder with somebody's data is no HOME, whatever is asked", async () => {
  await mkdir(join(path, "data"), { recursive: true });
  await writeFile(join(path, "data", "thesis.txt"), "");
  for (const fresh of [false, true])
    await expect(openHome(path, { fresh })).rejects.toMatchObject({ code: "home.foreign" });
  expect(await readFile(join(path, "data", "thesis.txt"), "utf8")).toBe("");
  expect(await readdir(path)).toEqual(["data"]);
});

test("a HOME that is a file, or holds damaged secrets, is told", async () => {
  await writeFile(path, "");
  await expect(openHome(path)).rejects.toMatchObject({ code: "folder.is_none" });
  await rm(path);
  await mkdir(path);
  await writeFile(join(path, "secrets.json"), '{"ownerPass');
  await expect(openHome(path)).rejects.toMatchObject({ code: "home.secrets_damaged" });
  expect(await readdir(path)).toEqual(["secrets.json"]);
});
