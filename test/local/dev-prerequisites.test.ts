import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type DevMachine, missingForDev } from "../../packages/local/src/dev-prerequisites.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "headrace-dev-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const keys = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };
/** A machine on which everything is there. */
const machine = (more: Partial<DevMachine> = {}): DevMachine => ({
  env: { HOME: home, ...keys },
  nodeVersion: "24.21.0",
  sstProgram: process.execPath,
  jarsFolder: tmpdir(),
  ...more,
});

async function writeAws(file: string, text: string): Promise<void> {
  await mkdir(join(home, ".aws"), { recursive: true });
  await writeFile(join(home, ".aws", file), text);
}

test("where everything is there nothing is missing", async () => {
  expect(await missingForDev(machine())).toEqual([]);
});

test("all that is missing is told at once, each with how to get it", async () => {
  const missing = await missingForDev(
    machine({ env: { HOME: home }, nodeVersion: "20.20.2", sstProgram: join(home, "sst") }),
  );
  expect(missing).toEqual([
    expect.stringMatching(/^Node 24: this is Node 20\.20\.2\. `npm ci`/),
    expect.stringMatching(/^SST: .* Run `npm ci`/),
    expect.stringMatching(/^AWS credentials: there are none\. .*aws configure/),
  ]);
});

test("a profile of either of AWS's files counts, the default one or the one that is named", async () => {
  await writeAws("credentials", "[default]\naws_access_key_id = x\n");
  await writeAws("config", "[profile shop]\nsso_session = x\n");
  expect(await missingForDev(machine({ env: { HOME: home } }))).toEqual([]);
  expect(await missingForDev(machine({ env: { HOME: home, AWS_PROFILE: "shop" } }))).toEqual([]);
});

test("a profile that does not exist is told with those that do", async () => {
  await writeAws("config", "[profile shop]\nregion = eu-central-1\n");
  expect(await missingForDev(machine({ env: { HOME: home, AWS_PROFILE: "shpo" } }))).toEqual([
    expect.stringMatching(/AWS_PROFILE names "shpo", and the profiles here are shop\. Set it/),
  ]);
  expect(await missingForDev(machine({ env: { HOME: home } }))).toEqual([
    expect.stringMatching(/no default profile\. Set AWS_PROFILE to one of shop/),
  ]);
});

test("a machine without Java is told how to get one", async () => {
  const path = process.env.PATH;
  process.env.PATH = home;
  try {
    expect(await missingForDev(machine())).toEqual([
      expect.stringMatching(/^Kafka on this machine: Kafka needs Java.*Install a Java runtime/),
    ]);
  } finally {
    process.env.PATH = path;
  }
});
