import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { runReplay, type Surroundings } from "@headrace/traffic";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { testClients } from "../kafka/clients.ts";
import { testDatabase } from "../support/database.ts";
import { kafkaEvent, kafkaRecord } from "../support/kafka.ts";
import { testFiles } from "./files.ts";
import { progressServer } from "./progress-server.ts";

const { config, newTopic, readAll } = await testClients();
const write = testFiles();
let topic = "";
const system = await progressServer(() => topic);

beforeEach(async () => {
  topic = await newTopic();
  system.answers = [];
  system.requests = 0;
});

const HEADER = "user_id,event_type,event_time";
const shop = (...lines: string[]) => write("shop.csv", `${[HEADER, ...lines].join("\n")}\n`);
const three = () =>
  shop("u1,login,2026-01-31", "u2,login,2026-01-31", "u1,purchase,2026-01-31 10:15:00");

/** The environment of a system that runs on Kafka alone, and where it answers. */
const env = () => ({
  HEADRACE_HOME: "/nowhere",
  KAFKA_BROKERS: config.brokers.join(","),
  EVENTS_TOPIC: topic,
  HEADRACE_URL: system.url,
  HEADRACE_TOKEN: system.token,
});

async function run(argv: readonly string[], more: Partial<Surroundings> = {}) {
  let [out, err] = ["", ""];
  const code = await runReplay(argv, {
    env: env(),
    stdin: () => Readable.from([]),
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    errIsTerminal: false,
    clock: { now: () => Date.now() },
    signal: new AbortController().signal,
    ...more,
  });
  return { code, out, err };
}

test("a file is sent, and what was sent and skipped is told", async () => {
  const { code, out, err } = await run([three(), "--topic", topic], {
    env: { ...env(), EVENTS_TOPIC: "" },
  });
  expect([code, out]).toEqual([0, "sent 3, bad lines 0\n"]);
  expect(err).toContain("user_id, event_type, event_time");
  expect(await readAll(topic)).toHaveLength(3);
});

test("bad lines are listed, and are no failure unless nothing else was there", async () => {
  const some = await run([shop("u1,login,2026-01-31", "u1,login,never", "u1")]);
  expect(some).toMatchObject({
    code: 0,
    out: expect.stringMatching(
      /^bad lines:\n {2}line 3: event_time must be .*\n {2}line 4: has 1 column, the header 3\nsent 1, bad lines 2\n$/,
    ),
  });
  const bad = Array.from({ length: 30 }, () => "u1,login,never");
  const none = await run([shop(...bad)]);
  expect(none.code).toBe(1);
  expect(none.out).toContain("  and 10 more\nsent 0, bad lines 30\n");
});

test("standard input and a map over several options are read", async () => {
  const stdin = () =>
    Readable.from([Buffer.from('{"u":"u1","event_type":"login","t":"2026-01-31"}')]);
  const argv = ["-", "--map", "user_id=u", "--map", "event_time=t"];
  expect(await run(argv, { stdin })).toMatchObject({ code: 0, out: "sent 1, bad lines 0\n" });
});

test("on a terminal a bar is drawn and taken away again", async () => {
  const { err, out } = await run([three()], { errIsTerminal: true });
  const drawn = err.split("\r\u001b[2K");
  expect(drawn.length).toBeGreaterThan(2);
  for (const bar of drawn.slice(1, -1))
    expect(bar).toMatch(/^[█░]{24} +\d+ % {2}\d+ sent, \d+\/s$/);
  expect(drawn.at(-1)).toMatch(/^3 records in /);
  expect(out).toBe("sent 3, bad lines 0\n");
});

test("--wait returns once all is read, gaps included, and tells what became of this run's", async () => {
  await run([three()]);
  const before = { partition: 0, events: 100, duplicates: 10, dead_letters: 1 };
  system.answers = [
    () => [{ ...before, next_offset: 1 }],
    () => [{ ...before, next_offset: 3 }], // all that was there before this run
    () => [{ ...before, next_offset: 5, events: 101 }],
    () => [{ partition: 0, next_offset: 6, events: 101, duplicates: 11, dead_letters: 2, gaps: 1 }],
    () => [{ partition: 0, next_offset: 6, events: 102, duplicates: 11, dead_letters: 2 }],
  ];
  // The first answer is asked for twice: as the state of things, and to wait for what is unread.
  system.answers.unshift(() => [{ ...before, next_offset: 0 }]);
  const { code, out } = await run([three(), "--wait"]);
  expect([code, out]).toEqual([0, "sent 3, stored 2, duplicates 1, dead letters 1, bad lines 0\n"]);
  expect(system.answers).toHaveLength(1);
});

test("--wait waits for results that are finished behind, and says what they lack", async () => {
  const read = { partition: 0, next_offset: 3, events: 3 };
  system.answers = [
    () => [],
    () => [],
    () => [{ ...read, finished_offset: 1 }],
    () => [{ ...read, finished_offset: 3 }],
  ];
  const { code } = await run([three(), "--wait"]);
  expect([code, system.answers.length]).toEqual([0, 1]);
  const behind = { partition: 0, next_offset: 6, finished_offset: 4, events: 6 };
  system.answers = [() => [read], () => [read], () => [read], () => [behind]];
  const stalled = await run([three(), "--wait"], { stallMs: 500 });
  expect(stalled.code).toBe(1);
  expect(stalled.err).toContain(`${topic}-0: 2 records (read up to 6 of 6, finished up to 4)\n`);
});

test("--wait gives up when nothing advances, and says what is unread", async () => {
  system.answers = [
    () => [],
    () => [],
    () => [{ partition: 0, next_offset: 1, events: 1, gaps: 1 }],
  ];
  const { code, out, err } = await run([three(), "--wait"], { stallMs: 500 });
  expect([code, out]).toEqual([1, ""]);
  expect(err).toContain(
    `nothing was read for 0.5 s. Unread:\n  ${topic}-0: 2 records (read up to 1 of 3), open gaps: 1\n`,
  );
});

test("--wait is not taken in by the progress of a topic that was made anew", async () => {
  const old = { partition: 0, next_offset: 500, events: 500 };
  system.answers = [
    () => [old],
    () => [old],
    () => [old],
    () => [old],
    () => [{ partition: 0, next_offset: 2, events: 502 }],
    () => [{ partition: 0, next_offset: 3, events: 503 }],
  ];
  const { code, out } = await run([three(), "--wait"]);
  expect([code, out]).toEqual([0, "sent 3, stored 3, duplicates 0, dead letters 0, bad lines 0\n"]);
  expect(system.answers).toHaveLength(1);
});

test("--wait outlasts an answer that fails, but not a token that is refused", async () => {
  const fine = () => [{ partition: 0, next_offset: 3, events: 3 }];
  system.answers = [() => [], () => [], () => [{ partition: 0, next_offset: -1 } as never], fine];
  expect((await run([three(), "--wait"])).code).toBe(0);
  const refused = await run([three(), "--wait"], { env: { ...env(), HEADRACE_TOKEN: "old" } });
  expect(refused).toMatchObject({
    code: 1,
    err: expect.stringContaining("refuses the token (401)"),
  });
});

test("--wait without an address to ask says which are missing, and sends nothing", async () => {
  const { code, err } = await run([three(), "--wait"], { env: { ...env(), HEADRACE_URL: "" } });
  expect(code).toBe(1);
  expect(err).toContain("Set DATABASE_URL (its database), or HEADRACE_URL and HEADRACE_TOKEN");
  expect(await readAll(topic)).toEqual([]);
});

describe("--wait without HTTP, by the database", async () => {
  const db = await testDatabase();
  process.env.DATABASE_WORKER_URL = db.workerUrl;
  const { handler } = await import("../../functions/kafka/ingest-events.ts");
  const finishers = await Promise.all([
    import("../../functions/cron/finish-windows.ts"),
    import("../../functions/cron/finish-sessions.ts"),
    import("../../functions/cron/find-joins.ts"),
    import("../../functions/cron/refresh-segments.ts"),
  ]);
  const byDatabase = (databaseUrl: string) => {
    const { KAFKA_BROKERS, EVENTS_TOPIC, HEADRACE_HOME } = env();
    return { KAFKA_BROKERS, EVENTS_TOPIC, HEADRACE_HOME, DATABASE_URL: databaseUrl };
  };
  const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
  /** What the running system does: takes in all that the topic holds, and finishes what follows. */
  const ingest = async () => {
    const records = (await readAll(topic)).map(({ value, offset, timestampMillis }) =>
      kafkaRecord(value, { offset, timestampMillis }),
    );
    await handler(kafkaEvent(topic, { 0: records }), context);
    for (const finisher of finishers) await finisher.handler({}, context);
  };
  const whileIngesting = async <Value>(work: Promise<Value>): Promise<Value> => {
    let isOver = false;
    const ingesting = (async () => {
      for (; !isOver; await sleep(50)) await ingest();
    })();
    try {
      return await work;
    } finally {
      isOver = true;
      await ingesting;
    }
  };

  test("returns once all is read, with the same figures as over HTTP", async () => {
    const path = shop("u1,login,2026-01-31", "u2,login,2026-01-31", "u1,login,1800-01-31", "u1");
    for (const outcome of ["stored 2, duplicates 0", "stored 0, duplicates 2"]) {
      const { code, out } = await whileIngesting(
        run([path, "--wait"], { env: byDatabase(db.ownerUrl) }),
      );
      expect(code).toBe(0);
      expect(out).toContain(`sent 3, ${outcome}, dead letters 1, bad lines 1\n`);
    }
  });

  test("says at once what is wrong with the database's address, and sends nothing", async () => {
    const told = async (change: (url: URL) => void) => {
      const url = new URL(db.ownerUrl);
      change(url);
      return await run([three(), "--wait"], { env: byDatabase(url.href) });
    };
    expect((await told((url) => (url.protocol = "mysql:"))).err).toMatch(/DATABASE_URL must be/);
    expect((await told((url) => (url.port = "1"))).err).toMatch(/nothing listens at/);
    expect((await told((url) => (url.password = "x"))).err).toMatch(/refuses the password/);
    expect((await told((url) => (url.pathname = "/postgres"))).err).toMatch(/holds no Headrace/);
    const stranger = await newStranger();
    const refused = await told((url) => ([url.username, url.password] = [stranger, "x"]));
    expect(refused.err).toMatch(
      new RegExp(`${stranger} may not read .* its owner or headrace_reports\n$`),
    );
    expect(await readAll(topic)).toEqual([]);
  });

  /** A role of the server that nobody has granted anything, with password `x`. */
  async function newStranger(): Promise<string> {
    const name = `${db.name}_stranger`;
    await db.pool.query(`create role ${name} login password 'x'`);
    onTestFinished(async () => void (await db.pool.query(`drop role ${name}`)));
    return name;
  }
});

test("the running system is found through running.json, unless its process is gone", async () => {
  const home = join(write("x", ""), "../home");
  mkdirSync(home);
  const running = {
    url: system.url,
    token: "secret",
    kafkaBrokers: config.brokers,
    databaseUrl: "",
  };
  const file = join(home, "running.json");
  const here = { HEADRACE_HOME: home, EVENTS_TOPIC: topic };
  writeFileSync(file, JSON.stringify({ ...running, pid: process.pid }));
  system.answers = [() => [], () => [], () => [{ partition: 0, next_offset: 3, events: 3 }]];
  expect(await run([three(), "--wait"], { env: here })).toMatchObject({
    code: 0,
    out: "sent 3, stored 3, duplicates 0, dead letters 0, bad lines 0\n",
  });

  const gone = execFile(process.execPath, ["-e", ""]);
  await new Promise((resolve) => gone.once("exit", resolve));
  writeFileSync(file, JSON.stringify({ ...running, pid: gone.pid }));
  const stale = await run([three()], { env: here });
  expect(stale.code).toBe(1);
  expect(stale.err).toContain(`no Headrace is running on ${home}. Start one (npm start)`);

  writeFileSync(file, "{");
  const damaged = await run([three()], { env: here });
  expect(damaged).toMatchObject({
    code: 1,
    err: expect.stringContaining(`${file} cannot be read`),
  });
  rmSync(home, { recursive: true });
});

test("a Kafka that is down and a topic that is not there each say what to do", async () => {
  const down = await run([three()], { env: { ...env(), KAFKA_BROKERS: "127.0.0.1:1" } });
  expect(down.code).toBe(1);
  expect(down.err).toMatch(/127\.0\.0\.1:1.*ECONNREFUSED.*from KAFKA_BROKERS: see that Kafka runs/);
  const { code, err } = await run([three(), "--topic", "no-such-topic"]);
  expect(code).toBe(1);
  expect(err).toMatch(/"no-such-topic".*name another one: --topic NAME/);
});

test.each([
  [[], /no file was named.*--help/],
  [["a.csv", "b.csv"], /there is also b\.csv/],
  [["a.csv", "--sped", "2"], /--sped/],
  [["a.csv", "--speed", "0"], /above 0 or max, not "0"/],
  [["a.csv", "--speed", "fast"], /above 0 or max, not "fast"/],
  [["a.csv", "--map", "user=u"], /no field "user"/],
])("arguments %j are refused with exit code 2", async (argv, message) => {
  const { code, err } = await run(argv);
  expect(code).toBe(2);
  expect(err).toMatch(message);
});

test("--help tells the options and the exit codes", async () => {
  const { code, out } = await run(["--help"]);
  expect(code).toBe(0);
  for (const word of ["--map", "--speed", "--shift-to-now", "--wait", "--topic", "Exit codes"])
    expect(out).toContain(word);
});

test("an interruption ends the replay in order, with 130", async () => {
  const ending = new AbortController();
  const path = shop("u1,login,2026-01-30", "u1,login,2026-01-31");
  const replaying = run([path, "--speed", "1"], { signal: ending.signal });
  await expect.poll(() => readAll(topic), { timeout: 15_000 }).toHaveLength(1);
  ending.abort();
  expect(await replaying).toMatchObject({ code: 130, out: "sent 1, bad lines 0\n" });
});

test("npm run replay finds the file from where it was called", async () => {
  const folder = join(three(), "..");
  copyFileSync(three(), join(folder, "named.csv"));
  const root = new URL("../..", import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(
    "npm",
    ["run", "--silent", "--prefix", root, "replay", "--", "named.csv"],
    { cwd: folder, env: { ...process.env, INIT_CWD: folder, ...env() } },
  );
  expect(stdout).toBe("sent 3, bad lines 0\n");
});
