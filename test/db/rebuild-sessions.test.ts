/** What is wrong in a kept row of sessions or activity, the audit finds and the rebuild repairs. */
import {
  type AuditRange,
  auditActiveUsers,
  auditSessions,
  finishSessions,
  inTransaction,
  type Lease,
  rebuildActiveUsers,
  rebuildSessions,
  SESSIONS_FOLLOWER,
} from "@headrace/db";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { activeUserDifferences } from "../support/recompute-active-users.ts";
import { sessionDifferences } from "../support/recompute-sessions.ts";
import { event, followAll, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl);
const reader = testPool(db.reportsUrl, 1);

const DAY: AuditRange = {
  fromMicros: Date.UTC(2026, 0, 1) * 1000,
  toMicros: Date.UTC(2026, 0, 2) * 1000,
};

let lease: Lease;
beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, open_windows, leases, kept_sessions,
       session_hours, session_spread, active_users, active_days;
     update clock set watermark = null, raw_from = '-infinity'`,
  );
  lease = await leaseOf(worker, SESSIONS_FOLLOWER);
  await takeIn(worker, [
    at("2025-12-31T23:50:00Z", "a"),
    at("2026-01-01T00:10:00Z", "a"),
    at("2026-01-01T09:50:00Z", "a", { value: 1.5 }),
    at("2026-01-01T10:20:00Z", "a", { event_type: "purchase", amount: 2 }),
    at("2026-01-01T10:00:00Z", "b"),
    at("2026-01-01T23:45:00Z", "b"),
    at("2026-01-02T00:15:00Z", "b"),
    at("2026-01-02T00:40:00Z", "b"),
  ]);
  await finish();
});

const at = (time: string, user: string, more: Record<string, unknown> = {}) =>
  event({ event_time: time, user_id: user, ...more });
const finish = () => followAll(worker, SESSIONS_FOLLOWER, () => finishSessions(worker, lease, 3));
const audit = (range: AuditRange = DAY, limit = 100) =>
  inTransaction(reader, "repeatable read", async (moment) => [
    ...(await auditSessions(moment, range, limit)),
    ...(await auditActiveUsers(moment, range, limit)),
  ]);
const wrong = async (range?: AuditRange): Promise<string[]> =>
  (await audit(range)).filter(({ differences }) => differences.length > 0).map(({ what }) => what);
const rebuild = async (range = DAY): Promise<number> => {
  const past: number[] = [];
  const changed =
    (await rebuildSessions(db.pool, range, (micros) => past.push(micros))) +
    (await rebuildActiveUsers(db.pool, range, (micros) => past.push(micros)));
  expect(past.at(-1)).toBe(range.toMicros);
  return changed;
};
const reportDifferences = () =>
  inTransaction(reader, "repeatable read", async (moment) => [
    ...(await sessionDifferences(moment)),
    ...(await activeUserDifferences(moment)),
  ]);

test("what is right is compared, not changed", async () => {
  expect((await audit()).map(({ what, rows }) => [what, rows])).toEqual([
    ["sessions", 3],
    ["session hours", 3],
    ["session spread", 12],
    ["active users", 9],
    ["active days", 2],
  ]);
  expect(await wrong()).toEqual([]);
  expect(await rebuild()).toBe(0);
});

test.each([
  ["update kept_sessions set event_count = event_count + 1 where user_id = 'b'", "sessions"],
  ["update kept_sessions set value_sum = 1.25 where value_sum is not null", "sessions"],
  ["update kept_sessions set ended_at = ended_at + interval '1 hour'", "sessions"],
  ["delete from kept_sessions where user_id = 'b'", "sessions"],
  [
    "insert into kept_sessions select 'nobody', started_at, ended_at, 1, 0, null, 0 from kept_sessions where purchases > 0",
    "sessions",
  ],
  ["update session_hours set duration_micros = duration_micros + 1", "session hours"],
  ["delete from session_hours", "session hours"],
  ["update session_spread set sessions = sessions + 1", "session spread"],
  ["delete from session_spread where size = '1d'", "session spread"],
  [
    "insert into session_spread values ('1h', '2026-01-01T03:00:00Z', 'events', 7, 1)",
    "session spread",
  ],
  ["update active_users set users = users + 1 where by = 'minute'", "active users"],
  ["delete from active_users where by = 'hour'", "active users"],
  ["insert into active_users values ('hour', '2026-01-01T03:00:00Z', 2)", "active users"],
  ["update active_days set users = users + 1", "active days"],
  [
    "update active_days set previous_day = previous_day - 1 where previous_day > '-infinity'",
    "active days",
  ],
])("%s: found and repaired", async (text, what) => {
  await db.pool.query(text);
  expect(await wrong()).toContain(what);
  const wide = {
    fromMicros: DAY.fromMicros - 3_600_000_000,
    toMicros: DAY.toMicros + 3_600_000_000,
  };
  expect(await rebuild(wide)).toBeGreaterThan(0);
  expect(await wrong()).toEqual([]);
  expect(await reportDifferences()).toEqual([]);
});

test("what is open yet is not missed by the audit, nor made by the rebuild", async () => {
  await takeIn(worker, [at("2026-01-01T10:30:00Z", "a"), at("2026-01-01T15:00:00Z", "c")]);
  expect(await wrong()).toEqual([]);
  expect(await rebuild()).toBe(0);
  await finish();
  expect(await wrong()).toEqual([]);
  expect(await reportDifferences()).toEqual([]);
});

test("a session that began before raw events do is left as it is", async () => {
  const before = await rowsOf(db.pool, "select * from kept_sessions order by 1, 2");
  await db.pool.query("update clock set raw_from = '2026-01-01T00:00:00Z'");
  await db.pool.query("delete from stream_events where event_time < '2026-01-01T00:00:00Z'");
  expect(await wrong()).toEqual([]);
  expect(await rebuild({ ...DAY, fromMicros: DAY.fromMicros - 3_600_000_000 })).toBe(0);
  expect(await rowsOf(db.pool, "select * from kept_sessions order by 1, 2")).toEqual(before);
});
