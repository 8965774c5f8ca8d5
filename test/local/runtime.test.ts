/** `npm start`, real as a user has it. The tests build on each other: one HOME lives through them. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { kafkaBrokers, uniqueTopic } from "../support/kafka.ts";
import {
  eventually,
  killAll,
  makeHome,
  processesIn,
  processTree,
  readRunning,
  removeHome,
  type Started,
  startProcess,
} from "./runtime-process.ts";

/** A start on a crowded machine; the promise of 20 s is the bench's. */
const START_MILLIS = 60_000;
const END_MILLIS = 10_000;

interface Kpi {
  readonly current: { readonly events: number; readonly revenue: string };
}

async function get(home: string, path: string): Promise<unknown> {
  const { url, token } = await readRunning(home);
  const response = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
  expect(response.status, path).toBe(200);
  return await response.json();
}

async function post(home: string, events: readonly object[]): Promise<void> {
  const { url, token } = await readRunning(home);
  const response = await fetch(`${url}/v1/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(events),
  });
  expect(response.status, await response.text()).toBe(202);
}

const kpi = async (home: string, window = "60s"): Promise<Kpi["current"]> =>
  ((await get(home, `/v1/reports/kpi?window=${window}`)) as Kpi).current;

const purchase = (amount: string): object => ({
  event_id: randomUUID(),
  event_time: new Date().toISOString(),
  event_type: "purchase",
  user_id: "u-1",
  amount,
});

/** Ends the process and expects it gone with all that it had started. */
async function endsWhole(
  started: Started,
  home: string,
  end: () => void,
): Promise<number | string> {
  const tree = processTree(started.pid);
  expect(tree.living().length).toBeGreaterThan(3);
  const begunAt = performance.now();
  end();
  const code = await started.exit;
  expect(performance.now() - begunAt).toBeLessThan(END_MILLIS);
  const none = async () => (tree.living().length === 0 ? true : undefined);
  await eventually("no process is left", none, 2_000);
  expect(await processesIn(home)).toEqual([]);
  await expect(readRunning(home)).rejects.toThrow("ENOENT");
  return code;
}

describe("on one HOME", { timeout: START_MILLIS + 20_000 }, () => {
  let home: string;
  let running: Started;
  beforeAll(async () => {
    home = await makeHome();
  }, START_MILLIS);
  afterAll(async () => {
    await killAll();
    await removeHome(home);
  });

  test("the first start becomes ready and says so to people and to programs", async () => {
    running = startProcess({ args: ["--home", home, "--no-traffic"], by: "npm" });
    const url = await running.ready();
    const file = await readRunning(home);
    expect(file).toMatchObject({ url, pid: expect.any(Number), token: expect.any(String) });
    expect(file.databaseUrl).toMatch(/^postgresql:\/\/headrace:[^@]+@127\.0\.0\.1:\d+\/headrace$/);
    expect(file.kafkaBrokers).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/)]);
    expect(Date.parse(file.startedAt)).toBeGreaterThan(Date.now() - START_MILLIS);
    expect((await stat(join(home, "running.json"))).mode & 0o777).toBe(0o600);
    expect(running.output()).toContain(file.token);
    expect(running.output()).not.toContain(new URL(file.databaseUrl).password);
    if (process.getuid?.() === 0)
      expect(existsSync(file.postgresPlace ?? "none"), "the place outside").toBe(true);
    expect((await get(home, "/v1/progress")) as object).toMatchObject({ caught_up: true });
  });

  test("events that are posted show in the figures at once", async () => {
    const postedAt = performance.now();
    await post(home, [purchase("10.25"), purchase("0.75")]);
    const shown = await eventually("both purchases", async () => {
      const figures = await kpi(home);
      return figures.events === 2 ? figures : undefined;
    });
    expect(shown.revenue).toBe("11.00");
    expect(performance.now() - postedAt).toBeLessThan(3_000);
  });

  test("a second start on the same HOME is refused and disturbs nothing", async () => {
    const second = startProcess({ args: ["--home", home] });
    expect(await second.exit).toBe(1);
    expect(second.output()).toContain("runs already");
    expect(second.output()).toContain((await readRunning(home)).url);
    expect((await kpi(home)).events).toBe(2);
  });

  test("Ctrl-C ends everything in order, under npm too", async () => {
    // A terminal sends it to the whole group, and npm passes it on once more.
    const code = await endsWhole(running, home, () => process.kill(-running.pid, "SIGINT"));
    expect(code).toBe(0);
    expect(running.output()).toContain("Headrace has ended");
    const log = await readFile(join(home, "logs/functions.log"), "utf8");
    const levels = log.split("\n").flatMap((line) => (line ? [JSON.parse(line).level] : []));
    expect(levels).not.toContain("error");
  });

  test("the next start ignores a stale running.json and goes on from its data", async () => {
    const stale = { url: "http://127.0.0.1:1", pid: 2 ** 22 + 1 };
    await writeFile(join(home, "running.json"), JSON.stringify(stale));
    running = startProcess({ args: ["--home", home, "--no-traffic"] });
    await running.ready();
    expect(await kpi(home, "1h")).toMatchObject({ events: 2, revenue: "11.00" });
    await post(home, [purchase("1.00")]);
    await eventually("a third purchase", async () =>
      (await kpi(home, "1h")).events === 3 ? true : undefined,
    );
  });

  test("after kill -9 the next start copes, and two copies have ports of their own", async () => {
    const before = (await readRunning(home)).url;
    running.signal("SIGKILL");
    await running.exit;
    const taken = createServer();
    taken.listen(Number(new URL(before).port), "127.0.0.1").unref();
    await once(taken, "listening");
    running = startProcess({ args: ["--home", home, "--traffic", "20"] });
    const url = await running.ready();
    expect(url).not.toBe(before);
    await eventually("events of the simulated shop", async () =>
      (await kpi(home, "1h")).events > 10 ? true : undefined,
    );
    const named = startProcess({ args: ["--home", home, "--port", new URL(before).port] });
    expect(await named.exit).toBe(1);
    expect(named.output()).toContain(`Port ${new URL(before).port} is in use`);
    taken.close();
  });

  test("the crash of a server ends everything, with a message that names it and its log", async () => {
    const postgres = processTree(running.pid).find("bin/postgres");
    const code = await endsWhole(running, home, () => process.kill(postgres, "SIGKILL"));
    expect(code).toBe(1);
    expect(running.output()).toContain(`PostgreSQL (process ${postgres}) ended by SIGKILL`);
    expect(running.output()).toContain(join(home, "logs/postgres.log"));
  });

  test("--fresh begins with empty data, and SIGTERM ends it in order", async () => {
    running = startProcess({ args: ["--home", home, "--no-traffic", "--fresh"] });
    await running.ready();
    expect((await kpi(home, "1h")).events).toBe(0);
    expect(await endsWhole(running, home, () => running.signal("SIGTERM"))).toBe(0);
  });
});

describe("with servers that run already", { timeout: START_MILLIS }, async () => {
  const [db, brokers] = await Promise.all([testDatabase(), kafkaBrokers()]);
  let home: string;
  beforeAll(async () => {
    home = await makeHome();
  }, START_MILLIS);
  afterAll(async () => {
    await killAll();
    await removeHome(home);
  });

  test("it starts no server and needs no Java", async () => {
    const path = join(home, "bin");
    await mkdir(path);
    await symlink(process.execPath, join(path, "node"));
    const started = startProcess({
      args: ["--home", home, "--no-traffic"],
      env: {
        DATABASE_URL: db.ownerUrl,
        KAFKA_BROKERS: brokers.join(","),
        EVENTS_TOPIC: uniqueTopic(),
        PATH: path,
      },
    });
    await started.ready();
    expect(processTree(started.pid).living()).toEqual([started.pid]);
    expect(await readRunning(home)).toMatchObject({ kafkaBrokers: brokers });
    await post(home, [purchase("2.00")]);
    await eventually("the purchase", async () =>
      (await kpi(home)).events === 1 ? true : undefined,
    );
    started.signal("SIGHUP");
    expect(await started.exit).toBe(0);
  });

  test("a database that is not there is told before a Kafka of our own is started", async () => {
    const wrong = new URL(db.ownerUrl);
    wrong.port = "1";
    const started = startProcess({ args: ["--home", home], env: { DATABASE_URL: wrong.href } });
    expect(await started.exit).toBe(1);
    expect(started.output()).toContain("nothing listens at 127.0.0.1:1");
    expect(started.output()).not.toContain("Kafka is up");
    expect(existsSync(join(home, "data/kafka"))).toBe(false);
  });

  test("addresses at which nothing answers are told apart, with what to do", async () => {
    const wrong = new URL(db.ownerUrl);
    wrong.port = "1";
    wrong.password = "told-to-nobody";
    const noDatabase = startProcess({
      args: ["--home", home],
      env: { DATABASE_URL: wrong.href, KAFKA_BROKERS: brokers.join(",") },
    });
    expect(await noDatabase.exit).toBe(1);
    expect(noDatabase.output()).toContain("nothing listens at 127.0.0.1:1");
    expect(noDatabase.output()).toContain("DATABASE_URL");
    expect(noDatabase.output()).not.toContain(wrong.password);
    const noKafka = startProcess({
      args: ["--home", home],
      env: { DATABASE_URL: db.ownerUrl, KAFKA_BROKERS: "127.0.0.1:1" },
    });
    expect(await noKafka.exit).toBe(1);
    expect(noKafka.output()).toContain("Kafka at 127.0.0.1:1 cannot be used");
    expect(noKafka.output()).not.toContain("PostgreSQL is up");
  });
});
