import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  addSegmentEvents,
  ensureEpoch,
  FOLLOWERS,
  findJoins,
  finishSessions,
  finishWindows,
  haveFollowed,
  migrate,
  type Pool,
  releaseLease,
  repeated,
  roleUrl,
} from "@headrace/db";
import { removePostgres, startPostgres } from "@headrace/local";
import { afterAll, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { allDifferences, auditAll, differences } from "../support/recompute.ts";
import { TEST_SETTINGS } from "../support/servers.ts";
import { awaitCut } from "./await-cut.ts";
import { event, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const old = await testDatabase();
const oldWorker = testPool(old.workerUrl, 2);
const base = await mkdtemp(join(tmpdir(), "headrace-epochs-"));
const server = await startPostgres({
  folder: join(base, "server"),
  password: "test",
  settings: TEST_SETTINGS,
});
const pool = testPool(server.url, 4);
const worker = testPool(roleUrl(server.url, "headrace_worker"), 4);
afterAll(async () => {
  await server.kill();
  await removePostgres(join(base, "server"));
  await rm(base, { recursive: true, force: true });
});

const FOREVER = { state_retention: null, window_10s_retention: null, window_1m_retention: null };
const EPOCH = 2 ** 44;

/** Every row of every table, as a restore from another server's rows leaves them. */
async function copyAllRows(from: Pool, to: Pool): Promise<void> {
  const weeks = await rowsOf(
    from,
    "select to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD')::text as monday from pg_inherits where inhparent = 'stream_events'::regclass",
  );
  await to.query("select ensure_event_partitions($1::date[])", [weeks.map((it) => it.monday)]);
  const tables = await rowsOf(
    from,
    `select relname as name from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
  );
  for (const { name } of tables) {
    const { rows } = await from.query<{ all: string }>(
      `select coalesce(json_agg(one), '[]')::text as all from ${name} as one`,
    );
    await to.query(`truncate ${name}`);
    await to.query(
      `insert into ${name} overriding system value
       select * from json_populate_recordset(null::${name}, $1)`,
      [rows[0]?.all],
    );
  }
}

const greatestTx = async (of: Pool): Promise<number> =>
  Number(
    (
      await rowsOf(
        of,
        `select max(tx) as tx from (
           select tx from stream_events union all select tx from stream_batches
           union all select tx from open_windows union all select tx from dead_letters
         ) as rows`,
      )
    )[0]?.tx,
  );

/** What each of them finds, under a lease that it gives back. */
async function followAll(by: Pool): Promise<void> {
  await awaitCut(by);
  for (const [name, follow] of Object.entries(FOLLOWS)) {
    const lease = await leaseOf(by, name);
    await repeated(() => follow(by, lease, 1000));
    await releaseLease(by, lease);
  }
}

const FOLLOWS = {
  "finish-sessions": finishSessions,
  "find-joins": findJoins,
  "refresh-segments": addSegmentEvents,
};

test("a new connection to the same server finds the epoch as it is", async () => {
  expect(await ensureEpoch(oldWorker)).toEqual({ epoch: 0, raised: false });
  expect(await ensureEpoch(oldWorker)).toEqual({ epoch: 0, raised: false });
  expect(await rowsOf(old.pool, "select epoch from epochs")).toEqual([{ epoch: 0 }]);
});

test("after all rows were copied into another cluster the epoch is raised once and everything goes on", async () => {
  await migrate(old.ownerUrl, FOREVER);
  await migrate(server.url, FOREVER);
  // Its transaction ids run far ahead of the new cluster's.
  const before = [event(), event({ value: 1, event_type: "add_to_cart" }), { bad: true }];
  await takeIn(oldWorker, before, { topic: "t" });
  const lease = await leaseOf(oldWorker, "finish-windows");
  await finishWindows(oldWorker, lease, 1);
  await releaseLease(oldWorker, lease);
  await followAll(oldWorker);
  await takeIn(oldWorker, [event({ value: 2 })], { topic: "t" });
  await copyAllRows(old.pool, pool);
  const last = await greatestTx(pool);

  // Each of them is the first use of its connection.
  const checks = await Promise.all(Array.from({ length: 4 }, () => ensureEpoch(worker)));
  expect(checks.map(({ epoch }) => epoch)).toEqual([1, 1, 1, 1]);
  expect(checks.filter(({ raised }) => raised)).toHaveLength(1);
  expect(await ensureEpoch(worker)).toEqual({ epoch: 1, raised: false });

  const defaults = await rowsOf(
    pool,
    `select attrelid::regclass::text as name, pg_get_expr(adbin, adrelid) as expression
     from pg_attrdef
     join pg_attribute on attrelid = adrelid and attnum = adnum
     where attname = 'tx'`,
  );
  expect(defaults.length).toBeGreaterThanOrEqual(5);
  for (const { name, expression } of defaults) expect(expression, String(name)).toContain(EPOCH);

  await takeIn(worker, [...before.slice(0, 2), event({ value: 3 }), { bad: 2 }], {
    topic: "t",
    offset: 4,
  });
  await takeIn(worker, [event({ event_time: "2019-05-05T00:00:00Z" })], {
    topic: "t",
    timestampMillis: Date.UTC(2019, 4, 6),
  });
  const added = await rowsOf(
    pool,
    `select count(*) as rows, min(tx) as least from (
       select tx from stream_events union all select tx from stream_batches
       union all select tx from open_windows union all select tx from dead_letters
     ) as rows where tx > ${last}`,
  );
  expect(Number(added[0]?.rows)).toBeGreaterThan(6);
  expect(Number(added[0]?.least)).toBeGreaterThan(EPOCH);
  expect(
    await rowsOf(pool, "select events, duplicates, dead_letters from stream_progress"),
  ).toEqual([{ events: 5, duplicates: 2, dead_letters: 2 }]);
  expect(await allDifferences(pool)).toEqual([]);

  await followAll(worker);
  const [now] = await rowsOf(pool, "select tx_horizon() as tx");
  expect(await haveFollowed(worker, FOLLOWERS, Number(now?.tx))).toBe(true);
  expect(await allDifferences(pool)).toEqual([]);
  expect(await auditAll(pool)).toEqual([]);

  const next = await leaseOf(worker, "finish-windows");
  expect(next.fence).toBe(lease.fence + 1);
  await finishWindows(worker, next, 1000);
  expect(await rowsOf(pool, "select from open_windows")).toEqual([]);
  expect(await differences(pool)).toEqual([]);
});

test("transaction ids that lie behind a stored cursor raise the epoch on the same server, too", async () => {
  const { epoch } = await ensureEpoch(worker);
  await pool.query(
    "insert into leases (name, tx_cursor) values ('ahead', $1) on conflict (name) do update set tx_cursor = excluded.tx_cursor",
    [epoch * EPOCH + 2 ** 40],
  );
  expect(await ensureEpoch(worker)).toEqual({ epoch: epoch + 1, raised: true });
  expect(await ensureEpoch(worker)).toEqual({ epoch: epoch + 1, raised: false });
  expect(await rowsOf(pool, "select tx_horizon() > max(tx_cursor) as ahead from leases")).toEqual([
    { ahead: true },
  ]);
});

test("tables that a later migration makes begin with the epoch in force", async () => {
  const { epoch } = await ensureEpoch(worker);
  await pool.query(
    "alter table dead_letters alter column tx set default (pg_current_xact_id()::text::bigint + 0)",
  );
  await pool.query("select set_tx_defaults(current_epoch())");
  const [row] = await rowsOf(
    pool,
    "select column_default as expression from information_schema.columns where table_name = 'dead_letters' and column_name = 'tx'",
  );
  expect(row?.expression).toContain(String(epoch * EPOCH));
});
