import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { finishSessions, finishWindows, repeated } from "@headrace/db";
import { parseRebuildArguments, type RebuildRequest, rebuild } from "@headrace/local";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { awaitCut } from "../db/await-cut.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 4);
const empty = await mkdtemp(join(tmpdir(), "headrace-rebuild-"));
afterAll(() => rm(empty, { recursive: true, force: true }));

const RANGE = ["--from", "2026-01-01T09:30:00Z", "--to", "2026-01-01T11:10:00Z"];
const micros = (time: string): number => Date.parse(time) * 1000;

beforeEach(async () => {
  vi.stubEnv("DATABASE_URL", db.ownerUrl);
  vi.stubEnv("HEADRACE_HOME", empty);
  await db.pool.query("update clock set raw_from = '-infinity'");
});

describe("its arguments", () => {
  test("name a result and a range, which is widened to whole hours", () => {
    expect(parseRebuildArguments(["sessions", ...RANGE, "--home", "there"])).toEqual({
      what: ["sessions"],
      fromMicros: micros("2026-01-01T09:00:00Z"),
      toMicros: micros("2026-01-01T12:00:00Z"),
      home: "there",
    });
  });

  test("may name all results at once", () => {
    expect(parseRebuildArguments(["all", ...RANGE]).what).toEqual([
      "windows",
      "sessions",
      "active-users",
      "segments",
      "joins",
    ]);
  });

  test.each([
    ["no result", RANGE, "name one of windows, sessions"],
    ["an unknown result", ["orders", ...RANGE], "name one of windows, sessions"],
    ["a name that every object has", ["constructor", ...RANGE], "name one of windows, sessions"],
    ["two results", ["windows", "joins", ...RANGE], "name one of windows, sessions"],
    ["no start", ["windows", "--to", "2026-01-01T11:00:00Z"], "--from must be a time"],
    ["no end", ["windows", "--from", "2026-01-01T11:00:00Z"], "--to must be a time"],
    ["a day without a time", ["all", "--from", "2026-01-01", ...RANGE.slice(2)], "--from must be"],
    ["an empty range", ["all", ...RANGE, "--to", "2026-01-01T09:00:00Z"], "--to must be after"],
    ["an unknown flag", ["all", ...RANGE, "--since", "1"], "--since"],
  ])("are refused with what to write instead: %s", (_name, args, message) => {
    expect(() => parseRebuildArguments(args)).toThrow(
      expect.objectContaining({
        code: "rebuild.arguments",
        message: expect.stringContaining(message),
      }),
    );
  });
});

describe("on a real database", () => {
  beforeEach(async () => {
    await db.pool.query(
      `truncate stream_events, stream_batches, stream_progress, open_windows, realtime_aggregates,
         kept_sessions, session_hours, session_spread, leases`,
    );
    await takeIn(worker, [
      event({ event_time: "2026-01-01T10:00:00Z", user_id: "u1" }),
      event({ event_time: "2026-01-01T10:05:00Z", user_id: "u1" }),
      event({ event_time: "2026-01-01T10:05:00Z", user_id: "u2" }),
    ]);
    await awaitCut(worker);
    const [windows, sessions] = [
      await leaseOf(worker, "finish-windows"),
      await leaseOf(worker, "finish-sessions"),
    ];
    await repeated(() => finishWindows(worker, windows, 1000));
    await repeated(() => finishSessions(worker, sessions, 1000));
  });

  const run = async (args: readonly string[]): Promise<string[]> => {
    const said: string[] = [];
    await rebuild(parseRebuildArguments(args), (line, isOver) => {
      if (isOver) said.push(line);
      else expect(line).toMatch(/^[a-z-]+: (\d|[1-9]\d|100) %$/);
    });
    return said;
  };
  const counts = () =>
    rowsOf(db.pool, "select user_id, event_count::int from kept_sessions order by 1");
  const RIGHT = [
    { user_id: "u1", event_count: 2 },
    { user_id: "u2", event_count: 1 },
  ];

  test("says of each result that nothing was wrong", async () => {
    expect(await run(["all", ...RANGE])).toEqual(
      ["windows", "sessions", "active-users", "segments", "joins"].map(
        (name) => `${name}: nothing was wrong`,
      ),
    );
  });

  test("puts right what is wrong in the range, says how many rows, and then finds nothing more", async () => {
    await db.pool.query("update kept_sessions set event_count = 9");
    expect(await run(["sessions", ...RANGE])).toEqual([
      expect.stringMatching(/^sessions: \d+ rows changed$/),
    ]);
    expect(await counts()).toEqual(RIGHT);
    expect(await run(["sessions", ...RANGE])).toEqual(["sessions: nothing was wrong"]);
  });

  test("leaves what lies outside the range as it is", async () => {
    await db.pool.query("update kept_sessions set event_count = 9");
    const later = ["--from", "2026-01-01T12:00:00Z", "--to", "2026-01-01T13:00:00Z"];
    expect(await run(["sessions", ...later])).toEqual(["sessions: nothing was wrong"]);
    expect(await counts()).not.toEqual(RIGHT);
  });

  test("touches nothing before raw events begin, and says where that is", async () => {
    await db.pool.query("update clock set raw_from = '2026-01-01T10:00:00Z'");
    expect(await run(["sessions", ...RANGE])).toEqual([
      "raw events begin at 2026-01-01T10:00:00.000Z: nothing before that is touched",
      "sessions: nothing was wrong",
    ]);
  });

  test("refuses a range of which no raw event is kept", async () => {
    await db.pool.query("update clock set raw_from = '2026-01-05'");
    await expect(run(["all", ...RANGE])).rejects.toMatchObject({
      code: "rebuild.range",
      message: expect.stringContaining("raw events begin at 2026-01-05T00:00:00.000Z"),
    });
  });
});

test("where nothing runs it says what to start or set", async () => {
  vi.stubEnv("DATABASE_URL", "");
  const request: RebuildRequest = { ...parseRebuildArguments(["all", ...RANGE]), home: empty };
  await expect(rebuild(request, () => {})).rejects.toMatchObject({
    code: "rebuild.no_database",
    message: expect.stringContaining(
      `nothing runs on ${empty}: run npm start, or set DATABASE_URL`,
    ),
  });
});

describe("npm run rebuild", () => {
  const MAIN = new URL("../../packages/local/src/main-rebuild.ts", import.meta.url).pathname;
  const command = (...args: string[]) =>
    promisify(execFile)(process.execPath, [MAIN, ...args], { env: { ...process.env } }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
    );

  test("prints its help, and nothing else is needed for it", async () => {
    vi.stubEnv("DATABASE_URL", "");
    const { code, stdout } = await command("--help");
    expect(code).toBe(0);
    for (const word of ["WHAT", "--from", "--to", "--home", "active-users"]) {
      expect(stdout).toContain(word);
    }
  });

  test("prints a line for each result, without the steps between where nobody watches", async () => {
    const { code, stdout, stderr } = await command("segments", ...RANGE);
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: "segments: nothing was wrong\n",
      stderr: "",
    });
  });

  test("ends with 2 for wrong arguments and 1 for what cannot be done, and no stack of calls", async () => {
    const wrong = await command("everything");
    expect([wrong.code, wrong.stdout]).toEqual([2, ""]);
    expect(wrong.stderr).toContain("npm run rebuild -- --help");
    vi.stubEnv("DATABASE_URL", "");
    const nowhere = await command("all", ...RANGE);
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).not.toContain("    at ");
  });
});
