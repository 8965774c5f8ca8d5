import { finishSessions, type Lease, SESSIONS_FOLLOWER } from "@headrace/db";
import { beforeEach, describe, expect, test } from "vitest";
import { event, followAll, leaseOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
const client = await httpClient(await import("../../functions/http/reports.ts"), [
  "reports:read",
  "users:read",
]);
const worker = testPool(db.workerUrl);

let lease: Lease;
beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, open_windows, leases, kept_sessions,
       session_hours, session_spread, active_users, active_days;
     update clock set watermark = null, raw_from = '-infinity'`,
  );
  lease = await leaseOf(worker, SESSIONS_FOLLOWER);
});

/** Stores events of 1 January 2026 (a Thursday) or another day; finished where it says so. */
async function ingest(...events: readonly (Record<string, unknown> & { time: string })[]) {
  await takeIn(
    worker,
    events.map(({ time, ...more }) =>
      event({ event_time: time.includes("T") ? time : `2026-01-01T${time}Z`, ...more }),
    ),
  );
}
const finish = () =>
  followAll(worker, SESSIONS_FOLLOWER, () => finishSessions(worker, lease, 1_000_000));
const DAY = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
const sessions = async (query: string) =>
  (await client.get(`/v1/reports/sessions?${query}`)).body.sessions;

describe("sessions", () => {
  const path = "/v1/reports/sessions";

  test("are told with all their figures, before and after they are finished", async () => {
    await ingest(
      { time: "10:00:00", user_id: "a", value: 1.5 },
      { time: "10:20:00.25", user_id: "a", event_type: "purchase", amount: "19.90", value: 1 },
      { time: "10:10:00", user_id: "b", event_type: "refund", amount: 5 },
    );
    const ask = () => client.get(`${path}?${DAY}`);
    const expected = {
      sessions: [
        {
          session_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          user_id: "a",
          started_at: "2026-01-01T10:00:00Z",
          ended_at: "2026-01-01T10:20:00.25Z",
          event_count: 2,
          duration_seconds: 1200.25,
          value_sum: 2.5,
          revenue: "19.90",
          purchased: true,
          open: true,
        },
        {
          session_id: expect.any(String),
          user_id: "b",
          started_at: "2026-01-01T10:10:00Z",
          ended_at: "2026-01-01T10:10:00Z",
          event_count: 1,
          duration_seconds: 0,
          value_sum: null,
          revenue: "0.00",
          purchased: false,
          open: true,
        },
      ],
      next_cursor: null,
    };
    const { body } = await ask();
    expect(body).toEqual(expected);
    await finish();
    expect((await ask()).body).toEqual(body);
  });

  test("keep their id while they grow at their end", async () => {
    await ingest({ time: "10:00:00" });
    const [before] = await sessions(DAY);
    await finish();
    await ingest({ time: "10:30:00" });
    const [after] = await sessions(DAY);
    expect(after).toMatchObject({ session_id: before.session_id, event_count: 2 });
    expect((await db.pool.query("select session_id from sessions")).rows).toEqual([
      { session_id: before.session_id },
    ]);
  });

  test("are open until the watermark has passed their end by more than 30 minutes", async () => {
    await ingest({ time: "10:00:00" });
    const isOpen = async (watermark: string | null): Promise<unknown> => {
      await db.pool.query("update clock set watermark = $1", [watermark]);
      return (await sessions(DAY))[0].open;
    };
    for (const isFinished of [false, true]) {
      if (isFinished) await finish();
      expect(await isOpen(null)).toBe(true);
      expect(await isOpen("2026-01-01T10:30:00Z")).toBe(true);
      expect(await isOpen("2026-01-01T10:30:00.000001Z")).toBe(false);
    }
  });

  test("are paged by start and user, each once, also while they are open", async () => {
    const users = Array.from({ length: 25 }, (_, n) => `user/${n % 5}%41 ${n}`);
    for (const [n, user] of users.entries()) {
      await ingest({ time: `10:${n % 3}0:00`, user_id: user });
      if (n % 2 === 0) await finish();
    }
    const seen: string[] = [];
    for (let cursor = ""; ; ) {
      const { body } = await client.get(`${path}?${DAY}&limit=4${cursor}`);
      expect(body.sessions.length).toBeLessThanOrEqual(4);
      for (const it of body.sessions) seen.push(`${it.started_at} ${it.user_id}`);
      if (body.next_cursor === null) break;
      cursor = `&cursor=${body.next_cursor}`;
    }
    expect(seen).toEqual([...seen].sort());
    expect(new Set(seen).size).toBe(25);
  });

  test("of one user need the scope users:read as well, and hold no other's", async () => {
    const user = "a/b%2Fc d";
    await ingest({ time: "10:00:00", user_id: user }, { time: "10:00:00", user_id: "a/b/c d" });
    const target = `${path}?user_id=${encodeURIComponent(user)}&${DAY}`;
    const { body } = await client.get(target);
    expect(body.sessions.map(({ user_id }: { user_id: string }) => user_id)).toEqual([user]);
    const denied = await client.get(target, { token: await client.token("reports:read") });
    expect([denied.status, denied.body.code]).toEqual([403, "token.scope"]);
    expect(denied.headers["www-authenticate"]).toContain('scope="users:read"');
    const all = await client.get(`${path}?${DAY}`, { token: await client.token("reports:read") });
    expect(all.status).toBe(200);
  });

  test("of a user id of 128 characters of any script are found", async () => {
    const user = "Ω".repeat(128);
    await ingest({ time: "10:00:00", user_id: user });
    expect(await sessions(`user_id=${encodeURIComponent(user)}&${DAY}`)).toHaveLength(1);
  });

  test.each([
    [`user_id=${"x".repeat(200)}`, "request.query", "/user_id"],
    ["user_id=", "request.query", "/user_id"],
    ["user_id=%00", "request.query", "/user_id"],
    ["user_id=%E0%A4", "request.query", "/user_id"],
    ["limit=0", "request.query", "/limit"],
    ["limit=1001", "request.query", "/limit"],
    ["from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/to"],
    ["from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/to"],
    ["from=2000-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/from"],
    ["session=1", "request.query", "/session"],
    ["cursor=x", "cursor.invalid", "/cursor"],
  ])("refuses ?%s", async (query, code, place) => {
    const { status, body } = await client.get(`${path}?${query}`);
    expect([status, body.code, body.errors[0].path]).toEqual([400, code, place]);
  });
});

describe("the summary", () => {
  const path = "/v1/reports/sessions/summary";

  test("counts sessions where they start, exactly, and knows their spread within 1 %", async () => {
    for (let n = 0; n < 100; n += 1) {
      const seconds = n * 7;
      const end = new Date(Date.UTC(2026, 0, 1, 10) + seconds * 1000).toISOString();
      await ingest(
        { time: "10:00:00", user_id: `u${n}` },
        { time: end, user_id: `u${n}`, event_type: n < 10 ? "purchase" : "page_view" },
      );
      if (n === 60) await finish();
    }
    await ingest({ time: "11:30:00", user_id: "late" });
    const { body } = await client.get(`${path}?from=2026-01-01T09:59:00Z&to=2026-01-01T11:00:00Z`);
    expect(body).toMatchObject({
      sessions: 100,
      with_purchase: 10,
      events: 200,
      total_duration_seconds: (7 * 99 * 100) / 2,
      events_max: 2,
    });
    expect(Math.abs(body.duration_p50_seconds / (49 * 7) - 1)).toBeLessThan(0.01);
    expect(Math.abs(body.duration_p95_seconds / (94 * 7) - 1)).toBeLessThan(0.01);
  });

  test("of nothing is zeros and null", async () => {
    expect((await client.get(path)).body).toEqual({
      sessions: 0,
      with_purchase: 0,
      events: 0,
      total_duration_seconds: 0,
      duration_p50_seconds: null,
      duration_p95_seconds: null,
      events_max: 0,
    });
  });

  test("refuses a range that ends before it begins", async () => {
    const { status, body } = await client.get(
      `${path}?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z`,
    );
    expect([status, body.code]).toEqual([400, "report.range"]);
  });
});

describe("active users", () => {
  const path = "/v1/reports/active-users";
  const ask = (query: string) => client.get(`${path}?${query}`);

  test("are counted once in every period, and those of all days make the stickiness", async () => {
    await ingest(
      { time: "10:00:59", user_id: "a" },
      { time: "10:01:00", user_id: "a" },
      { time: "10:01:30", user_id: "b" },
    );
    await finish();
    await ingest(
      { time: "10:01:10", user_id: "a" },
      { time: "2026-01-02T23:50:00Z", user_id: "a" },
      { time: "2026-01-03T00:10:00Z", user_id: "a" },
      { time: "2026-01-05T00:00:00Z", user_id: "c" },
    );
    const week = "from=2025-12-29T00:00:00Z&to=2026-01-05T00:00:00Z";
    for (const isFinished of [false, true]) {
      if (isFinished) await finish();
      expect((await ask(`by=minute&${DAY}`)).body.periods).toEqual([
        { start: "2026-01-01T10:00:00Z", users: 1 },
        { start: "2026-01-01T10:01:00Z", users: 2 },
      ]);
      expect((await ask(`by=day&${week}`)).body).toEqual({
        periods: [
          { start: "2026-01-01T00:00:00Z", users: 2 },
          { start: "2026-01-02T00:00:00Z", users: 1 },
          { start: "2026-01-03T00:00:00Z", users: 1 },
        ],
        stickiness: 4 / 7 / 2,
      });
      expect((await ask(`by=week&${week}`)).body.periods).toEqual([
        { start: "2025-12-29T00:00:00Z", users: 2 },
      ]);
      expect(
        (await ask("by=month&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z")).body,
      ).toEqual({
        periods: [{ start: "2026-01-01T00:00:00Z", users: 3 }],
        stickiness: 5 / 31 / 3,
      });
    }
  });

  test("of hours that are no whole days have no stickiness, and neither have days without users", async () => {
    await ingest({ time: "10:00:00" });
    const hours = await ask("by=hour&from=2026-01-01T10:00:00Z&to=2026-01-01T11:00:00Z");
    expect(hours.body).toEqual({
      periods: [{ start: "2026-01-01T10:00:00Z", users: 1 }],
      stickiness: null,
    });
    expect((await ask(`by=hour&${DAY}`)).body.stickiness).toBe(1);
    const empty = await ask("by=day&from=2026-02-01T00:00:00Z&to=2026-02-02T00:00:00Z");
    expect(empty.body).toEqual({ periods: [], stickiness: null });
  });

  test.each(["minute", "hour", "day", "week", "month"])(
    "by=%s end with the present period where no range is given",
    async (by) => {
      await takeIn(worker, [event({ event_time: new Date().toISOString() })]);
      const { status, body } = await ask(`by=${by}`);
      expect([status, body.periods.at(-1)?.users]).toEqual([200, 1]);
    },
  );

  test.each([
    ["", "request.query", "/by"],
    ["by=year", "request.query", "/by"],
    ["by=minute&from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/from"],
    ["by=hour&from=2026-01-01T00:30:00Z&to=2026-01-01T02:00:00Z", "report.range", "/from"],
    ["by=hour&from=2026-01-01T00:00:00Z&to=2026-01-01T02:00:00.000001Z", "report.range", "/to"],
    ["by=day&from=2026-01-01T00:00:00%2B02:00&to=2026-01-03T00:00:00Z", "report.range", "/from"],
    ["by=week&from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:00Z", "report.range", "/from"],
    ["by=month&from=2026-01-01T00:00:00Z&to=2026-01-31T00:00:00Z", "report.range", "/to"],
    ["by=day&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/to"],
  ])("refuses ?%s", async (query, code, place) => {
    const { status, body } = await ask(query);
    expect([status, body.code, body.errors[0].path]).toEqual([400, code, place]);
  });
});
