import {
  addSegmentEvents,
  findJoins,
  finishSessions,
  finishWindows,
  followGroupChanges,
  inTransaction,
  type Lease,
  type Pool,
  putUsers,
  rebuildActiveUsers,
  rebuildJoins,
  rebuildSegments,
  rebuildSessions,
  rebuildWindows,
  releaseLease,
  repeated,
} from "@headrace/db";
import { forgetConfig, useMetricSink } from "@headrace/handler";
import { readAudit } from "@headrace/reports";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { awaitCut } from "../db/await-cut.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { readEmbeddedMetrics } from "../support/embedded-metrics.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = "nowhere:9092";
process.env.HEADRACE_STAGE = "blue";
forgetConfig();
const client = await httpClient(await import("../../functions/http/operations.ts"), ["admin"]);
const { handler: auditCron } = await import("../../functions/cron/audit.ts");
const worker = testPool(db.workerUrl, 4);

const HOUR = 3_600_000_000;
const NOON = Date.UTC(2026, 0, 1, 12) * 1000;
const RANGE = { fromMicros: NOON - 12 * HOUR, toMicros: NOON + 12 * HOUR };
const DAY = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";

type Follow = (pool: Pool, lease: Lease) => Promise<unknown>;
const FOLLOWS: Readonly<Record<string, Follow>> = {
  "finish-windows": (pool, lease) => finishWindows(pool, lease, 1000),
  "finish-sessions": (pool, lease) => finishSessions(pool, lease, 1000),
  "find-joins": (pool, lease) => findJoins(pool, lease, 1000),
  "refresh-segments": async (pool, lease) => {
    await addSegmentEvents(pool, lease, 1000);
    await followGroupChanges(pool, lease, "segment", { events: 1000, keys: 1000 });
  },
};

async function followAll(): Promise<void> {
  await awaitCut(worker);
  for (const [name, follow] of Object.entries(FOLLOWS)) {
    const lease = await leaseOf(worker, name);
    await repeated(() => follow(worker, lease));
    await releaseLease(worker, lease);
  }
}

const at = (time: string, more: Record<string, unknown>) =>
  event({ event_time: `2026-01-01T${time}Z`, ...more });

beforeEach(async () => {
  const tables = await rowsOf(
    db.pool,
    `select string_agg(relname, ', ') as names
     from pg_class
     where relkind in ('r', 'p')
       and not relispartition
       and relnamespace = 'public'::regnamespace
       and relname not in ('clock', 'epochs', 'erasure_key', 'event_types', 'joins', 'migrations', 'settings')`,
  );
  await db.pool.query(`truncate ${tables[0]?.names}`);
  await db.pool.query("update clock set watermark = '2026-01-03', raw_from = '-infinity'");
  await keepRowsFor(null);
  await putUsers(worker, [
    { userId: "u1", name: "Ada", segment: "gold", region: null, registeredMicros: null },
  ]);
  await takeIn(worker, [
    at("12:00:00", { user_id: "u1", value: 1.5, product_id: "p1" }),
    at("12:05:00", { user_id: "u1", event_type: "add_to_cart", amount: "3.10" }),
    at("12:06:00", { user_id: "u2", event_type: "purchase", amount: "7.00" }),
    at("13:30:00", { user_id: "u1", event_type: "purchase", amount: "1.00" }),
  ]);
  await followAll();
});

const keepRowsFor = (days: number | null) =>
  db.pool.query(
    "update settings set window_10s_retention = make_interval(days => $1), window_1m_retention = make_interval(days => $1)",
    [days],
  );

const audit = async (query = `${DAY}&sample=24`) =>
  (await client.get(`/v1/audit?${query}`)).body as unknown as {
    ok: boolean;
    checked: { what: string; rows: number; differences: number }[];
    differences: { what: string; key: string }[];
    at_offsets: Record<string, number>;
    hours: { audited: number; of: number };
  };

test("where all is well an audit says what it compared, and at which offsets", async () => {
  const answer = await audit();
  expect(answer).toMatchObject({
    ok: true,
    differences: [],
    at_offsets: { "events-0": 4 },
    hours: { audited: 24, of: 24 },
  });
  const compared = answer.checked.filter(({ rows }) => rows > 0).map(({ what }) => what);
  for (const what of ["windows 10s", "windows 1m", "windows 1h", "windows 1d"]) {
    expect(compared).toContain(what);
  }
  for (const what of [/session/, /active/, /join/, /segment/]) {
    expect(compared.some((it) => what.test(it))).toBe(true);
  }
});

describe.each([
  [
    "a window's count",
    "update realtime_aggregates set event_count = 9 where size = '1h'",
    rebuildWindows,
  ],
  [
    "a day's revenue",
    "update realtime_aggregates set revenue = 9 where size = '1d'",
    rebuildWindows,
  ],
  [
    "a session's end",
    "update kept_sessions set ended_at = ended_at + interval '1 second'",
    rebuildSessions,
  ],
  ["a session that is gone", "delete from kept_sessions where user_id = 'u2'", rebuildSessions],
  [
    "an hour's sessions",
    "update session_hours set sessions = sessions + 1, events = events + 1",
    rebuildSessions,
  ],
  [
    "users of a minute",
    "update active_users set users = users + 1 where by = 'minute'",
    rebuildActiveUsers,
  ],
  ["users of an hour", "delete from active_users where by = 'hour'", rebuildActiveUsers],
  ["users of a day", "update active_days set users = users + 1", rebuildActiveUsers],
  ["a join's left half", "delete from join_lefts", rebuildJoins],
  [
    "a join's right half",
    "update join_rights set right_time = right_time + interval '1 second'",
    rebuildJoins,
  ],
  ["a join's pairs", "update join_counts set matches = matches + 1", rebuildJoins],
  [
    "a segment's events",
    "update segment_windows set event_count = event_count + 1",
    rebuildSegments,
  ],
  [
    "a segment's users",
    "update segment_windows set distinct_users = distinct_users + 1, event_count = event_count + 1",
    rebuildSegments,
  ],
])("%s", (_name, damage, rebuild) => {
  test("planted wrong is found with its row, and a rebuild puts it right", async () => {
    const planted = await db.pool.query(damage);
    expect(planted.rowCount).toBeGreaterThan(0);
    const found = await audit();
    expect(found.ok).toBe(false);
    expect(found.differences.length).toBeGreaterThan(0);
    expect(await rebuild(worker, RANGE, () => {})).toBeGreaterThan(0);
    expect((await audit()).differences).toEqual([]);
    expect(await rebuild(worker, RANGE, () => {})).toBe(0);
  });
});

test("the cron keeps what it found with the rows, and raises the alarm's figure", async () => {
  // Groups are compared whatever hours the lot chooses.
  await db.pool.query("update user_segments set segment = 'wrong' where user_id = 'u1'");
  const lines: string[] = [];
  useMetricSink((line) => lines.push(line));
  onTestFinished(() => useMetricSink(undefined));
  await auditCron({}, { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 });
  const runs = await rowsOf(
    db.pool,
    "select ok, checked, differences, at_offsets from audit_runs order by run_id",
  );
  expect(runs.length).toBe(2);
  for (const run of runs) {
    expect(run).toMatchObject({ ok: false, at_offsets: { "events-0": 4 } });
    expect(run.checked).toContainEqual(
      expect.objectContaining({ what: "segments of users", differences: 1 }),
    );
    expect(run.differences).toContainEqual(
      expect.objectContaining({ what: "segments of users", key: "u1", actual: "wrong" }),
    );
  }
  const figures = lines.map((line) => readEmbeddedMetrics(line).values.AuditDifferences);
  expect(figures.length).toBe(2);
  for (const found of figures) expect(Number(found)).toBeGreaterThan(0);
});

test("where nothing differs the cron says so, and the alarm's figure is 0", async () => {
  const lines: string[] = [];
  useMetricSink((line) => lines.push(line));
  onTestFinished(() => useMetricSink(undefined));
  await auditCron({}, { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 });
  expect(await rowsOf(db.pool, "select ok, differences from audit_runs")).toEqual(
    Array(2).fill({ ok: true, differences: [] }),
  );
  expect(lines.map((line) => readEmbeddedMetrics(line).values.AuditDifferences)).toEqual([
    "0",
    "0",
  ]);
});

test("a window that is gone because it is old is no difference; one that is wrong still is", async () => {
  await keepRowsFor(30);
  await db.pool.query("delete from realtime_aggregates where size = '10s'");
  expect((await audit()).ok).toBe(true);
  await db.pool.query("update realtime_aggregates set event_count = 9 where size = '1m'");
  expect((await audit()).ok).toBe(false);
});

test("hours are chosen by lot, as many as the sample says", async () => {
  expect((await audit(`${DAY}&sample=3`)).hours).toEqual({ audited: 3, of: 24 });
});

test("an audit whose time is up says how many hours it came to", async () => {
  const { hours, ok } = await inTransaction(worker, "repeatable read", (moment) => {
    let asked = 0;
    return readAudit(moment, {
      ...RANGE,
      ...{ sample: 12, events: 1000, limit: 10, random: () => 0.3 },
      isTimeUp: () => ++asked > 1,
    });
  });
  expect(ok).toBe(true);
  expect(hours.of).toBe(24);
  expect(hours.audited).toBeGreaterThan(0);
  expect(hours.audited).toBeLessThan(12);
});

test("nothing before raw events begin is audited", async () => {
  await db.pool.query("update clock set raw_from = '2026-01-05'");
  expect(await audit()).toMatchObject({ ok: true, hours: { audited: 0, of: 0 } });
});

test.each([
  ["sample=0", "/sample"],
  ["sample=100000", "/sample"],
  ["from=yesterday", "/from"],
  ["from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "/to"],
  ["from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "/from"],
])("%s is refused", async (query, path) => {
  const answer = await client.get(`/v1/audit?${query}`);
  expect(answer.status).toBe(400);
  expect(JSON.stringify(answer.body)).toContain(path);
});

test("an audit needs the scope admin", async () => {
  const token = await client.token("reports:read");
  expect((await client.get("/v1/audit", { token })).status).toBe(403);
});
