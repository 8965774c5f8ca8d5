/** Sessions and active users follow raw events whatever order they come in. */
import {
  auditActiveUsers,
  auditSessions,
  finishSessions,
  inTransaction,
  type Lease,
  repeated,
  SESSIONS_FOLLOWER,
} from "@headrace/db";
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { activeUserDifferences } from "../support/recompute-active-users.ts";
import { sessionDifferences } from "../support/recompute-sessions.ts";
import { event, followAll, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl);
const reader = testPool(db.reportsUrl, 1);

let lease: Lease;
const reset = async (): Promise<void> => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, open_windows, leases, kept_sessions,
       session_hours, session_spread, active_users, active_days;
     update clock set watermark = null, raw_from = '-infinity'`,
  );
  lease = await leaseOf(worker, SESSIONS_FOLLOWER);
};
beforeEach(reset);

const finish = (limit = 1_000_000) => repeated(() => finishSessions(worker, lease, limit));
const finishAll = (limit?: number) => followAll(worker, SESSIONS_FOLLOWER, () => finish(limit));
const reportDifferences = () =>
  inTransaction(reader, "repeatable read", async (moment) => [
    ...(await sessionDifferences(moment)),
    ...(await activeUserDifferences(moment)),
  ]);
const auditDifferences = () =>
  inTransaction(reader, "repeatable read", async (moment) => {
    const ever = { fromMicros: Date.UTC(2025, 0) * 1000, toMicros: Date.UTC(2027, 0) * 1000 };
    const audited = [
      ...(await auditSessions(moment, ever, Number.POSITIVE_INFINITY)),
      ...(await auditActiveUsers(moment, ever, Number.POSITIVE_INFINITY)),
    ];
    return audited.flatMap(({ differences }) => differences);
  });
const sessionsOf = () =>
  rowsOf(
    db.pool,
    `select
       user_id,
       to_char(started_at, 'HH24:MI') || '-' || to_char(ended_at, 'HH24:MI') as time,
       event_count as n
     from sessions
     order by started_at, user_id`,
  );
const at = (time: string, more: Record<string, unknown> = {}) =>
  event({ event_time: `2026-01-01T${time}Z`, ...more });

test("a gap of exactly 30 minutes ends no session, a microsecond more does", async () => {
  await takeIn(worker, [at("10:00:00"), at("10:30:00"), at("11:00:00.000001")]);
  await finishAll();
  expect(await sessionsOf()).toEqual([
    { user_id: "u1", time: "10:00-10:30", n: 2 },
    { user_id: "u1", time: "11:00-11:00", n: 1 },
  ]);
});

test("a late event extends a session, joins two, or makes one between", async () => {
  await takeIn(worker, [at("10:00:00"), at("11:00:00"), at("14:00:00")]);
  await finishAll();
  await takeIn(worker, [at("12:30:00")]);
  await finishAll();
  await takeIn(worker, [at("09:45:00")]);
  await finishAll();
  expect((await sessionsOf()).map(({ time }) => time)).toEqual([
    "09:45-10:00",
    "11:00-11:00",
    "12:30-12:30",
    "14:00-14:00",
  ]);
  await takeIn(worker, [at("10:30:00")]);
  await finishAll();
  expect((await sessionsOf()).map(({ time }) => time)).toEqual([
    "09:45-11:00",
    "12:30-12:30",
    "14:00-14:00",
  ]);
  expect(await reportDifferences()).toEqual([]);
});

test("one user's fifty thousand events of a minute are one session", async () => {
  for (let n = 0; n < 10; n += 1) {
    await takeIn(
      worker,
      Array.from({ length: 5_000 }, (_, second) =>
        at(`10:00:${String(second % 60).padStart(2, "0")}`),
      ),
    );
  }
  await finishAll(50_000);
  expect(await sessionsOf()).toEqual([{ user_id: "u1", time: "10:00-10:00", n: 50_000 }]);
});

test("a batch that joins a user's two thousand sessions leaves one", async () => {
  const every = Array.from({ length: 4_000 }, (_, n) =>
    event({ event_time: new Date(Date.UTC(2026, 0, 1) + n * 29 * 60_000).toISOString() }),
  );
  await takeIn(
    worker,
    every.filter((_, n) => n % 2 === 0),
  );
  await finishAll();
  expect(await sessionsOf()).toHaveLength(2_000);
  await takeIn(
    worker,
    every.filter((_, n) => n % 2 === 1),
  );
  await finishAll();
  expect(await sessionsOf()).toMatchObject([{ n: 4_000 }]);
  expect(await auditDifferences()).toEqual([]);
});

// Few users and times that meet often: on the half hour, around midnight and month's end.
const HOUR = 3_600_000;
const timeMillis = fc
  .tuple(
    fc.constantFrom(0, 1, 23, 24, 25, 47, 167, 744).map((hours) => hours * HOUR),
    fc.constantFrom(0, 15, 29, 30, 31, 45, 59).map((minutes) => minutes * 60_000),
    fc.constantFrom(0, 0, 1, 30_000),
  )
  .map((parts) => Date.UTC(2025, 11, 31) + parts.reduce((sum, part) => sum + part, 0));
const batches = fc.array(
  fc.record({
    partition: fc.nat(2),
    events: fc.array(
      fc.record({
        user_id: fc.constantFrom("a", "b", "c/%"),
        timeMillis,
        event_type: fc.constantFrom("page_view", "purchase"),
        value: fc.constantFrom(undefined, 1.5, -2, 1e308),
        amount: fc.constantFrom(undefined, 1.25, 0),
      }),
      { minLength: 1, maxLength: 8 },
    ),
    /** Slices that run after it, and their limit; a repeat of the batch in another partition. */
    slices: fc.nat(2),
    limit: fc.integer({ min: 1, max: 12 }),
    again: fc.boolean(),
  }),
  { minLength: 1, maxLength: 7 },
);

test("after each batch the reports equal a recomputation, whatever comes in which order", async () => {
  await fc.assert(
    fc.asyncProperty(batches, async (all) => {
      await reset();
      for (const { partition, events, slices, limit, again } of all) {
        const sent = events.map(({ timeMillis: millis, ...more }) =>
          event({ ...more, event_time: new Date(millis).toISOString() }),
        );
        await takeIn(worker, sent, { partition });
        if (again) await takeIn(worker, sent, { partition: partition + 1 });
        for (let n = 0; n < slices; n += 1) await finish(limit);
        expect(await reportDifferences()).toEqual([]);
      }
      await finishAll(5);
      expect(await reportDifferences()).toEqual([]);
      expect(await auditDifferences()).toEqual([]);
    }),
    { numRuns: 25 },
  );
}, 300_000);
