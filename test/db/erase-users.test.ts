/** An erased user is found nowhere, does not come back, and every result equals raw events all along. */
import {
  addSegmentEvents,
  advanceMoves,
  continueErasure,
  findErasure,
  findJoins,
  finishSessions,
  finishWindows,
  followGroupChanges,
  hasSegmentWork,
  ingestPartition,
  inTransaction,
  JOINS_FOLLOWER,
  type Lease,
  putUsers,
  repeated,
  requestErasure,
  SEGMENTS_FOLLOWER,
  SESSIONS_FOLLOWER,
  type SliceOutcome,
} from "@headrace/db";
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { differences, oraclePool } from "../support/recompute.ts";
import { activeUserDifferences } from "../support/recompute-active-users.ts";
import { joinDifferences } from "../support/recompute-joins.ts";
import { segmentDifferences } from "../support/recompute-segments.ts";
import { sessionDifferences } from "../support/recompute-sessions.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 3);
const reader = testPool(db.reportsUrl, 1);
const oracle = oraclePool(db.ownerUrl);

/** Needs escapes wherever a text may be quoted. */
const ERASED = "erased/% 'user\\";

const leases = new Map<string, Lease>();
const leaseFor = (name: string): Lease => leases.get(name) as Lease;

async function reset(): Promise<void> {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, open_windows, realtime_aggregates,
       leases, kept_sessions, session_hours, session_spread, active_users, active_days, dim_users,
       user_segments, segment_windows, segment_moves, segment_deltas, join_lefts, join_rights,
       join_counts, erased_users, erasures;
     update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null;
     update clock set watermark = null, raw_from = '-infinity'`,
  );
  const names = [
    SESSIONS_FOLLOWER,
    SEGMENTS_FOLLOWER,
    JOINS_FOLLOWER,
    "finish-windows",
    "erase-users",
  ];
  for (const name of names) leases.set(name, await leaseOf(worker, name));
}
beforeEach(reset);

async function followSegments(limit: number): Promise<void> {
  const lease = leaseFor(SEGMENTS_FOLLOWER);
  await repeated(() => addSegmentEvents(worker, lease, limit));
  await repeated(() => followGroupChanges(worker, lease, "segment", { events: 5, keys: 2 }));
  await repeated(() => advanceMoves(worker, lease, { events: 10, deltas: 10 }));
}

async function follow(limit: number): Promise<void> {
  await repeated(() => finishSessions(worker, leaseFor(SESSIONS_FOLLOWER), limit));
  await repeated(() => findJoins(worker, leaseFor(JOINS_FOLLOWER), limit));
  await followSegments(limit);
  await repeated(() => finishWindows(worker, leaseFor("finish-windows"), limit));
}

async function followAll(): Promise<void> {
  await follow(1_000_000);
  while (await hasSegmentWork(worker)) await followSegments(1_000_000);
}

const erase = (job: string, limit: number) =>
  continueErasure(worker, leaseFor("erase-users"), job, limit);

/** One slice; the other tests' transactions on this server may keep it waiting a while. */
async function eraseOnce(job: string, limit: number): Promise<SliceOutcome> {
  for (;;) {
    const outcome = await erase(job, limit);
    if (outcome !== "unready") return outcome;
    await followAll();
  }
}

async function eraseAll(job: string, limit: number): Promise<void> {
  while ((await eraseOnce(job, limit)) !== "done");
}

/** Reports of results that are kept by user id, against raw events. */
const wrongs = () =>
  inTransaction(reader, "repeatable read", async (moment) => [
    ...(await sessionDifferences(moment)),
    ...(await activeUserDifferences(moment)),
    ...(await segmentDifferences(moment)),
    ...(await joinDifferences(moment)),
  ]);

/** Tables that hold the text somewhere, in whatever column. */
async function tablesWith(text: string): Promise<string[]> {
  const tables = await rowsOf(
    db.pool,
    "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition",
  );
  const found: string[] = [];
  for (const { relname } of tables) {
    const { rows } = await db.pool.query(
      `select from ${relname} as whole where position($1 in to_jsonb(whole)::text) > 0 limit 1`,
      [JSON.stringify(text).slice(1, -1)],
    );
    if (rows.length > 0) found.push(String(relname));
  }
  return found;
}

const at = (time: string, more: Record<string, unknown> = {}) =>
  event({ event_time: `2026-01-01T${time}Z`, user_id: ERASED, ...more });
const LATER = Date.now() + 3_600_000;

test("nothing names an erased user, and its records do not come back when the topic is read again", async () => {
  await putUsers(worker, [
    { userId: ERASED, name: "Ada", segment: "gold", region: "eu", registeredMicros: 1_000_000 },
    { userId: "other", name: "Bob", segment: "gold", region: null, registeredMicros: null },
  ]);
  const history = [
    at("10:00:00", { event_type: "login", session_id: ERASED, region: "eu" }),
    at("10:01:00", { event_type: "purchase", amount: 5, value: 1.5, data: { of: ERASED } }),
    at("10:02:00", { user_id: "other", event_type: "login" }),
    at("12:00:00", { event_type: "add_to_cart", product_id: "p1", category: "toys" }),
  ];
  const timestampMillis = Date.now();
  await takeIn(worker, history, { timestampMillis });
  await followAll();
  expect(await tablesWith(ERASED)).not.toEqual([]);

  const { jobId, state } = await requestErasure(worker, ERASED);
  expect(state).toBe("waiting");
  await eraseAll(jobId, 1000);
  expect(await findErasure(worker, jobId)).toMatchObject({ state: "done", events: 3 });
  expect(await tablesWith(ERASED)).toEqual([]);
  expect(await tablesWith("Ada")).toEqual([]);

  // As if the topic had been made again, and as if its log were read from the beginning.
  await takeIn(worker, history, { timestampMillis, offset: 4 });
  await takeIn(worker, history, { timestampMillis, offset: 0 });
  await db.pool.query("delete from stream_events where user_id <> 'other'");
  await takeIn(worker, history, { timestampMillis, offset: 8 });
  expect(await tablesWith(ERASED)).toEqual([]);
  expect(
    await rowsOf(db.pool, "select events, duplicates, erased, dead_letters from stream_progress"),
  ).toEqual([{ events: 4, duplicates: 2, erased: 6, dead_letters: 0 }]);
});

test("sums stay, and what is anonymous keeps its identity, type, value and amount", async () => {
  const told = at("10:01:00", { event_type: "purchase", amount: 5, value: 1.5, region: "eu" });
  await takeIn(worker, [told]);
  await followAll();
  const { jobId } = await requestErasure(worker, ERASED);
  await eraseAll(jobId, 1000);
  const [row] = await rowsOf(
    db.pool,
    "select event_id, event_type, value, amount_cents, session_id, region, data, user_id from stream_events",
  );
  expect(row).toMatchObject({
    event_id: told.event_id,
    event_type: "purchase",
    value: 1.5,
    amount_cents: 500,
    session_id: null,
    region: null,
    data: null,
  });
  expect(await rowsOf(db.pool, "select user_id from sessions")).toEqual([
    { user_id: row?.user_id },
  ]);
  expect(await differences(oracle)).toEqual([]);
  expect(await wrongs()).toEqual([]);
});

test("what the user does after the request is that of a new user, and is kept", async () => {
  await takeIn(worker, [at("10:00:00"), at("10:20:00")]);
  const { jobId } = await requestErasure(worker, ERASED);
  await takeIn(worker, [at("10:10:00")], { timestampMillis: LATER });
  await takeIn(worker, [at("10:15:00")], { timestampMillis: Date.now() - 60_000 });
  await followAll();
  await eraseAll(jobId, 1000);
  expect(
    await rowsOf(
      db.pool,
      `select to_char(event_time, 'HH24:MI') as at from stream_events where user_id = $$${ERASED}$$`,
    ),
  ).toEqual([{ at: "10:10" }]);
  expect(await wrongs()).toEqual([]);
});

test("an old record behind hundreds of newer ones is left out too, also one that was a dead letter first", async () => {
  await requestErasure(worker, ERASED);
  const old = Date.now() - 60_000;
  const record = (offset: number, timestampMillis: number, firstMillis?: number) => ({
    offset,
    timestampMillis,
    timestampType: "CREATE_TIME" as const,
    key: null,
    value: Buffer.from(JSON.stringify(at("10:00:00"))),
    firstPosition:
      firstMillis === undefined
        ? undefined
        : { topic: "events", partition: 9, offset: 0, timestampMillis: firstMillis },
  });
  const newer = Array.from({ length: 900 }, (_, offset) => record(offset, Date.now() + 60_000));
  const records = [...newer, record(900, old), record(901, Date.now() + 60_000, old)];
  const ingested = await ingestPartition(
    worker,
    { topic: "events", partition: 0, firstOffset: 0, lastOffset: 901, records },
    { horizonDays: 3650 },
  );
  expect(ingested).toMatchObject({ stored: 900, erased: 2, duplicates: 0, deadLetters: 0 });
  expect(await rowsOf(db.pool, "select next_offset, erased from stream_progress")).toEqual([
    { next_offset: 902, erased: 2 },
  ]);
});

test("a request waits for a transaction that has not seen it", async () => {
  const slow = await worker.connect();
  await slow.query("begin");
  await slow.query("select pg_current_xact_id()");
  const { jobId } = await requestErasure(worker, ERASED);
  try {
    await followAll();
    expect(await erase(jobId, 10)).toBe("unready");
  } finally {
    await slow.query("commit");
    slow.release();
  }
  expect(await eraseOnce(jobId, 10)).toBe("done");
});

test("a request that is repeated goes on under its job until that has ended, and then makes another", async () => {
  await takeIn(worker, [at("10:00:00"), at("11:00:00")]);
  await followAll();
  const first = await requestErasure(worker, ERASED);
  expect(await eraseOnce(first.jobId, 1)).toBe("more");
  await takeIn(worker, [at("12:00:00")], { timestampMillis: Date.now() + 1 });
  const again = await requestErasure(worker, ERASED);
  expect(again.jobId).toBe(first.jobId);
  await eraseAll(first.jobId, 1);
  expect(
    await rowsOf(db.pool, "select count(distinct user_id)::integer as n from stream_events"),
  ).toEqual([{ n: 1 }]);
  const other = await requestErasure(worker, ERASED);
  expect(other.jobId).not.toBe(first.jobId);
  await eraseAll(other.jobId, 1);
});

test("without the key nothing is taken in: erased users could not be told from others", async () => {
  const { rows } = await db.pool.query<{ key: Buffer }>("delete from erasure_key returning key");
  try {
    await expect(takeIn(worker, [event()])).rejects.toMatchObject({ code: "erasure.key" });
  } finally {
    await db.pool.query("insert into erasure_key (key) values ($1)", [rows[0]?.key]);
  }
  expect(await takeIn(worker, [event()])).toMatchObject({ stored: 1 });
});

test("the hash is no plain one: without the database's key it says nothing", async () => {
  await requestErasure(worker, ERASED);
  const found = await db.pool.query("select from erased_users where hash = sha256($1)", [
    Buffer.from(ERASED),
  ]);
  expect(found.rowCount).toBe(0);
  await expect(reader.query("select * from erasure_key")).rejects.toThrow(/permission denied/);
  await expect(reader.query("select * from erasures")).rejects.toThrow(/permission denied/);
});

// Times that meet often: around the half hour, midnight, and at the same microsecond.
const eventTime = fc
  .tuple(
    fc.constantFrom(0, 1, 23, 24, 25, 48),
    fc.constantFrom(0, 1, 4, 15, 29, 30, 31, 59),
    fc.constantFrom(0, 0, 1),
  )
  .map(([hours, minutes, millis]) =>
    new Date(Date.UTC(2025, 11, 31) + hours * 3_600_000 + minutes * 60_000 + millis).toISOString(),
  );
const anyEvent = fc.record({
  event_time: eventTime,
  user_id: fc.constantFrom(ERASED, ERASED, ERASED, "b"),
  event_type: fc.constantFrom("page_view", "login", "purchase", "add_to_cart"),
  value: fc.constantFrom(undefined, 1.5, -2),
  amount: fc.constantFrom(undefined, 1.25),
  product_id: fc.constantFrom(undefined, "p1"),
});
const anyBatch = fc.record({
  partition: fc.nat(1),
  later: fc.boolean(),
  events: fc.array(anyEvent, { minLength: 1, maxLength: 8 }),
  follows: fc.constantFrom(0, 1, 5),
  erases: fc.constantFrom(0, 1, 3),
});
const history = fc.record({
  before: fc.array(anyBatch, { minLength: 1, maxLength: 4 }),
  after: fc.array(anyBatch, { maxLength: 4 }),
  limit: fc.constantFrom(1, 2, 3, 7, 100),
  segment: fc.constantFrom(null, "gold"),
});

test("after every step of an erasure, whatever comes in beside it, reports equal raw events", async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ before, after, limit, segment }) => {
      await reset();
      if (segment !== null) {
        await putUsers(worker, [
          { userId: ERASED, name: "Ada", segment, region: null, registeredMicros: null },
        ]);
      }
      for (const { events, partition, follows } of before) {
        await takeIn(worker, events.map(event), { partition });
        if (follows > 0) await follow(follows);
      }
      const { jobId } = await requestErasure(worker, ERASED);
      for (const { events, partition, follows, erases, later } of after) {
        const timestampMillis = later ? LATER : Date.now() - 60_000;
        await takeIn(worker, events.map(event), { partition, timestampMillis });
        if (follows > 0) await follow(follows);
        for (let n = 0; n < erases; n += 1) {
          await erase(jobId, limit);
          expect(await wrongs()).toEqual([]);
        }
      }
      while ((await eraseOnce(jobId, limit)) !== "done") expect(await wrongs()).toEqual([]);
      await followAll();
      expect(await wrongs()).toEqual([]);
      const [left] = await rowsOf(
        db.pool,
        `select count(*)::integer as n
         from stream_events
         where user_id = $$${ERASED}$$
           and record_time < now()`,
      );
      expect(left).toEqual({ n: 0 });
      if (!after.some(({ later }) => later)) expect(await tablesWith(ERASED)).toEqual([]);
    }),
    { numRuns: 10 },
  );
}, 180_000);
