import {
  expireWindows,
  finishWindows,
  inTransaction,
  type Lease,
  repeated,
  sqlState,
} from "@headrace/db";
import { beforeEach, describe, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { differences, oraclePool } from "../support/recompute.ts";
import { event, isWaiting, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 4);
const oracle = oraclePool(db.ownerUrl);

let lease: Lease;
beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, stream_gaps, dead_letters,
       open_windows, realtime_aggregates, leases`,
  );
  await keepFor({});
  await watermarkAt(null);
  lease = await leaseOf(worker, "finish-windows");
});

const keepFor = (kept: { states?: string; rows10s?: string; rows1m?: string }) =>
  db.pool.query(
    "update settings set state_retention = $1, window_10s_retention = $2, window_1m_retention = $3",
    [kept.states ?? null, kept.rows10s ?? null, kept.rows1m ?? null],
  );
const watermarkAt = (time: string | null) =>
  db.pool.query("update clock set watermark = $1", [time]);
const finish = (limit = 10_000) => finishWindows(worker, lease, limit);
const open = async (): Promise<number> =>
  Number((await rowsOf(db.pool, "select count(*) as n from open_windows"))[0]?.n);

const at = (time: string, more = {}) => event({ event_time: `2026-01-01T${time}Z`, ...more });
/** `size start events late final revision` of every row, in order. */
const windows = async (sizes = ["10s", "1m", "1h", "1d"]): Promise<string[]> =>
  (
    await db.pool.query<{ text: string }>(
      `select concat_ws(' ', size, to_char(window_start at time zone 'UTC', 'HH24:MI:SS'), event_count,
         late_events, case when final then 'final' else 'open' end, revision) as text
       from realtime_aggregates
       where size = any ($1)
       order by array_position(array['10s', '1m', '1h', '1d'], size), window_start, event_type`,
      [sizes],
    )
  ).rows.map(({ text }) => text);

describe("a window", () => {
  test("is not final while the watermark has not passed its end, and has no revision", async () => {
    await takeIn(worker, [at("10:00:01"), at("10:00:11")]);
    await watermarkAt("2026-01-01T10:00:10Z");
    await finish();
    expect(await windows()).toEqual([
      "10s 10:00:00 1 0 final 0",
      "10s 10:00:10 1 0 open",
      "1m 10:00:00 2 0 open",
      "1h 10:00:00 2 0 open",
      "1d 00:00:00 2 0 open",
    ]);
  });

  test("becomes final with revision 0 when the watermark passes, though nothing came", async () => {
    await takeIn(worker, [at("10:00:01")]);
    await finish();
    await watermarkAt("2026-01-01T10:01:00Z");
    expect(await finish()).toEqual({ folded: 0, finalised: 2 });
    expect(await windows()).toEqual([
      "10s 10:00:00 1 0 final 0",
      "1m 10:00:00 1 0 final 0",
      "1h 10:00:00 1 0 open",
      "1d 00:00:00 1 0 open",
    ]);
  });

  test("that was final grows by one revision with each change, and never turns back", async () => {
    await takeIn(worker, [at("10:00:30")]);
    await watermarkAt("2026-01-01T10:01:00Z");
    await finish();
    for (const revision of [1, 2]) {
      await takeIn(worker, [at("10:00:01"), at("10:00:30")]);
      await finish();
      await finish();
      expect(await windows(["1m"])).toEqual([
        `1m 10:00:00 ${1 + 2 * revision} ${revision} final ${revision}`,
      ]);
    }
    await watermarkAt("2026-01-01T09:00:00Z");
    await takeIn(worker, [at("10:00:30")]);
    await finish();
    expect(await windows(["1m"])).toEqual(["1m 10:00:00 6 2 final 3"]);
  });

  test("that is first written when the watermark has passed begins with revision 0", async () => {
    await watermarkAt("2026-01-02T00:00:00Z");
    await takeIn(worker, [at("10:00:30")]);
    await finish();
    expect(await windows(["10s", "1d"])).toEqual([
      "10s 10:00:30 1 0 final 0",
      "1d 00:00:00 1 0 final 0",
    ]);
  });

  test("counts its late events, at every size", async () => {
    await takeIn(worker, [at("10:00:30"), at("10:00:01"), at("09:00:00"), at("10:00:30")]);
    await finish();
    expect(await windows(["1m", "1h"])).toEqual([
      "1m 09:00:00 1 1 open",
      "1m 10:00:00 3 1 open",
      "1h 09:00:00 1 1 open",
      "1h 10:00:00 3 1 open",
    ]);
  });
});

describe("a slice", () => {
  test("takes at most as many open states as it is told, the oldest first, and says how many", async () => {
    for (const second of ["01", "11", "21", "31", "41"]) {
      await takeIn(worker, [at(`10:00:${second}`)]);
    }
    expect(await finish(2)).toMatchObject({ folded: 2 });
    expect(await windows(["10s", "1m"])).toEqual([
      "10s 10:00:00 1 0 open",
      "10s 10:00:10 1 0 open",
      "1m 10:00:00 2 0 open",
    ]);
    expect(await open()).toBe(3);
    expect(await differences(oracle)).toEqual([]);
    expect(await finish(2)).toMatchObject({ folded: 2 });
    expect(await finish(2)).toMatchObject({ folded: 1 });
    expect(await differences(oracle)).toEqual([]);
  });

  test("makes at most as many rows final as it is told, those that ended first", async () => {
    await takeIn(worker, [at("10:00:21"), at("10:00:01"), at("10:00:11")]);
    await finish();
    await watermarkAt("2026-01-01T10:00:59Z");
    expect(await finish(2)).toEqual({ folded: 0, finalised: 2 });
    expect(await windows(["10s"])).toEqual([
      "10s 10:00:00 1 1 final 0",
      "10s 10:00:10 1 1 final 0",
      "10s 10:00:20 1 0 open",
    ]);
  });

  test("of a runner that has lost its lease changes nothing", async () => {
    await takeIn(worker, [at("10:00:01")]);
    await db.pool.query("update leases set expires_at = '-infinity'");
    await leaseOf(worker, "finish-windows");
    await expect(finish()).rejects.toMatchObject({ code: "lease.lost" });
    await expect(expireWindows(worker, lease, 10)).rejects.toMatchObject({ code: "lease.lost" });
    expect(await open()).toBe(1);
    expect(await windows()).toEqual([]);
  });

  test("that meets another change of its rows changes nothing, and counts once when repeated", async () => {
    await takeIn(worker, [at("10:00:01")]);
    await finish();
    await takeIn(worker, [at("10:00:02")]);
    const errors: unknown[] = [];
    let run: Promise<unknown> | undefined;
    await inTransaction(db.pool, "read committed", async (other) => {
      await other.query("update realtime_aggregates set window_end = window_end where size = '1d'");
      run = repeated(() =>
        finish().catch((error: unknown) => {
          errors.push(sqlState(error));
          throw error;
        }),
      );
      await expect.poll(() => isWaiting(db.pool)).toBe(true);
    });
    await run;
    expect(errors).toEqual(["40001"]);
    expect(await windows(["1d"])).toEqual(["1d 00:00:00 2 0 open"]);
    expect(await differences(oracle)).toEqual([]);
  });

  test("is given up after a few repeats, and other errors are not repeated", async () => {
    let calls = 0;
    const failing = (code: string) => () => {
      calls += 1;
      return db.pool.query(`do $$ begin raise exception 'x' using errcode = '${code}'; end $$`);
    };
    await expect(repeated(failing("40001"))).rejects.toThrow("x");
    expect(calls).toBe(5);
    calls = 0;
    await expect(repeated(failing("22012"))).rejects.toThrow("x");
    expect(calls).toBe(1);
  });
});

describe("retention", () => {
  const HOUR = 3_600_000;
  const ago = (millis: number, more = {}) =>
    event({ event_time: new Date(Date.now() - millis).toISOString(), ...more });
  /** The middle of a 10 s window that began about as long ago, so that tests do not depend on the second. */
  const steady = (millis: number, offset: number, more = {}) => {
    const start = Math.floor((Date.now() - millis) / 60_000) * 60_000;
    return event({ event_time: new Date(start + offset).toISOString(), ...more });
  };
  const counts = async (): Promise<Record<string, unknown>[]> =>
    rowsOf(
      db.pool,
      `select size, count(*)::integer as rows, sum(event_count)::integer as events, count(state)::integer as states
       from realtime_aggregates group by size order by size`,
    );

  test("takes the states of final 10 s and 1 min rows alone, at most as many as told", async () => {
    await takeIn(worker, [steady(3 * HOUR, 1000), steady(3 * HOUR, 11_000)]);
    await finish();
    await keepFor({ states: "1 hour" });
    expect(await expireWindows(worker, lease, 10)).toBe(0);
    await watermarkAt(new Date().toISOString());
    await finish();
    expect(await expireWindows(worker, lease, 2)).toBe(2);
    expect(await expireWindows(worker, lease, 2)).toBe(1);
    expect(await expireWindows(worker, lease, 2)).toBe(0);
    expect((await counts()).map(({ size, states }) => `${size} ${states}`)).toEqual([
      "10s 0",
      "1d 1",
      "1h 1",
      "1m 0",
    ]);
  });

  test("a later event rebuilds an expired state from raw rows, with all that is still open of it", async () => {
    const users = ["a", "b", "c", "d"];
    await takeIn(
      worker,
      users.map((user_id, index) => steady(3 * HOUR, 1000 + index, { user_id, value: index })),
    );
    await takeIn(worker, [steady(3 * HOUR, 31_000, { user_id: "e" })]);
    await watermarkAt(new Date().toISOString());
    await finish();
    await keepFor({ states: "1 hour" });
    while ((await expireWindows(worker, lease, 10)) > 0);
    // Three batches of the same 10 s window, one of another in the same minute: the first alone is
    // in the slice, the raw rows hold them all.
    await takeIn(worker, [steady(3 * HOUR, 2000, { user_id: "f", value: 9 })]);
    await takeIn(worker, [steady(3 * HOUR, 3000, { user_id: "g", value: 8 })]);
    await takeIn(worker, [steady(3 * HOUR, 32_000, { user_id: "h" })]);
    await takeIn(worker, [steady(2 * HOUR, 1000, { user_id: "i" })]);
    expect(await finish(1)).toMatchObject({ folded: 1 });
    expect(await open()).toBe(1);
    expect(await finish(1)).toMatchObject({ folded: 1 });
    expect(await differences(oracle)).toEqual([]);
    expect(
      await rowsOf(
        db.pool,
        "select event_count, revision from realtime_aggregates where size = '10s' order by window_start",
      ),
    ).toEqual([
      { event_count: 6, revision: 1 },
      { event_count: 2, revision: 1 },
      { event_count: 1, revision: 0 },
    ]);
  });

  test("a row past its size's retention is not made again; larger sizes still count the event", async () => {
    await keepFor({ rows10s: "1 hour", rows1m: "10 hours" });
    await watermarkAt(new Date().toISOString());
    await takeIn(worker, [steady(2 * HOUR, 1000), ago(100), steady(11 * HOUR, 1000)]);
    await finish();
    expect((await counts()).map(({ size, events }) => `${size} ${events}`)).toEqual([
      "10s 1",
      "1d 3",
      "1h 3",
      "1m 2",
    ]);
    expect(await open()).toBe(0);
  });

  test("rows go once final and past their retention, never before the finisher stops making them", async () => {
    await takeIn(worker, [steady(2 * HOUR, 1000)]);
    await finish();
    await keepFor({ rows10s: "1 hour", rows1m: "3 hours" });
    expect(await expireWindows(worker, lease, 10)).toBe(0);
    await watermarkAt(new Date().toISOString());
    await finish();
    expect(await expireWindows(worker, lease, 10)).toBe(1);
    expect((await counts()).map(({ size }) => size)).toEqual(["1d", "1h", "1m"]);
  });

  test("a row that ends just within its retention keeps all its events when a late one comes", async () => {
    // Its start is past the retention, its end is not.
    await keepFor({});
    await takeIn(worker, [steady(2 * HOUR, 1000), steady(2 * HOUR, 1500)]);
    await watermarkAt(new Date().toISOString());
    await finish();
    await db.pool.query(
      `update settings set window_1m_retention =
         now() - (select window_start from realtime_aggregates where size = '1m') - interval '30 seconds'`,
    );
    while ((await expireWindows(worker, lease, 10)) > 0);
    await takeIn(worker, [steady(2 * HOUR, 2000)]);
    await finish();
    expect((await counts()).map(({ size, events }) => `${size} ${events}`)).toContain("1m 3");
  });

  test("null keeps everything", async () => {
    await takeIn(worker, [event({ event_time: "2020-01-01T00:00:00Z" })], {
      timestampMillis: Date.UTC(2020, 0, 1),
    });
    await watermarkAt(new Date().toISOString());
    await finish();
    expect(await expireWindows(worker, lease, 10)).toBe(0);
    expect(await counts()).toHaveLength(4);
  });
});
