import {
  followSlice,
  followSlices,
  hasSlice,
  haveFollowed,
  holdCrons,
  inTransaction,
  type Lease,
  openPart,
  type Slice,
  sqlState,
} from "@headrace/db";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { awaitCut } from "./await-cut.ts";
import { event, isWaiting, leaseOf, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 4);
const holders = testPool(db.workerUrl);
const reader = testPool(db.reportsUrl);
const FOLLOWER = "some-follower";

let lease: Lease;
beforeEach(async () => {
  await db.pool.query(
    "truncate stream_events, stream_batches, stream_progress, open_windows, leases",
  );
  lease = await leaseOf(worker, FOLLOWER);
});

async function store(events: Parameters<typeof takeIn>[1]): Promise<void> {
  await takeIn(worker, events);
  await awaitCut(worker);
}

const at = (time: string) => event({ event_time: time });
const take = (limit = 1_000_000): Promise<Slice | undefined> =>
  followSlice(worker, lease, limit, async () => {});
const idsOf = async (slice: Slice): Promise<unknown[]> =>
  (
    await rowsOf(
      db.pool,
      `select event_id from stream_events where tx >= ${slice.fromTx} and tx < ${slice.toTx} order by 1`,
    )
  ).map(({ event_id }) => event_id);

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

test("a slice holds whole transactions, one behind the other, each event once", async () => {
  const events = Array.from({ length: 9 }, () => at("2026-01-01T10:00:00Z"));
  for (let from = 0; from < 9; from += 3) await store(events.slice(from, from + 3));
  const slices = [await take(4), await take(4)];
  expect(slices.map((slice) => slice?.rows)).toEqual([6, 3]);
  expect(slices[1]?.fromTx).toBe(slices[0]?.toTx);
  expect(
    (await Promise.all(slices.map((slice) => (slice ? idsOf(slice) : [])))).flat().sort(),
  ).toEqual(events.map(({ event_id }) => event_id).sort());
  expect(await take()).toBe(undefined);
  expect(await hasSlice(worker, FOLLOWER)).toBe(false);
});

test("a run takes slices until one is the last, and leaves what comes meanwhile to the next run", async () => {
  const events = () => Array.from({ length: 3 }, () => at("2026-01-01T10:00:00Z"));
  for (let times = 0; times < 3; times += 1) await store(events());
  const slices: (Slice | undefined)[] = [];
  const run = (meanwhile: () => Promise<void>): Promise<void> =>
    followSlices(worker, FOLLOWER, new AbortController().signal, async () => {
      slices.push(await take(6));
      await meanwhile();
      return slices.at(-1);
    });
  await run(() => store(events()));
  expect(slices.map((slice) => [slice?.rows, slice?.isLast])).toEqual([
    [6, false],
    [6, true],
  ]);
  expect(await hasSlice(worker, FOLLOWER)).toBe(true);
  await run(async () => {});
  expect(slices.at(-1)).toMatchObject({ rows: 3, isLast: true });
  await run(() => Promise.reject(new Error("nothing was left to take")));
});

test("a transaction that is larger than the limit is one slice", async () => {
  await store([at("2026-01-01T10:00:00Z"), at("2026-01-01T10:00:01Z")]);
  expect((await take(1))?.rows).toBe(2);
});

test("a slice says where its events lie, week by week", async () => {
  await store([at("2026-01-01T10:00:00Z"), at("2025-06-01T10:00:00Z")]);
  await store([at("2026-01-01T09:00:00Z")]);
  expect((await take())?.stretches).toEqual([
    { fromMicros: Date.UTC(2025, 5, 1, 10) * 1000, toMicros: Date.UTC(2025, 5, 1, 10) * 1000 },
    { fromMicros: Date.UTC(2026, 0, 1, 9) * 1000, toMicros: Date.UTC(2026, 0, 1, 10) * 1000 },
  ]);
});

test("what commits slowly is not skipped, and what came after it waits", async () => {
  const slow = await db.pool.connect();
  await slow.query("begin");
  await slow.query("select pg_current_xact_id()");
  await takeIn(worker, [at("2026-01-01T10:00:00Z")]);
  try {
    expect(await hasSlice(worker, FOLLOWER)).toBe(false);
    expect(await take()).toBe(undefined);
    expect(await openPart(reader, FOLLOWER)).toMatchObject({ rows: 1 });
  } finally {
    await slow.query("commit");
    slow.release();
  }
  await awaitCut(worker);
  expect((await take())?.rows).toBe(1);
  expect(await openPart(reader, FOLLOWER)).toMatchObject({ rows: 0, stretches: [] });
});

test("an event is finished or open in every snapshot, never both, never neither", async () => {
  await store([at("2026-01-01T10:00:00Z")]);
  await inTransaction(reader, "repeatable read", async (moment) => {
    const before = await openPart(moment, FOLLOWER);
    await take();
    expect(await openPart(moment, FOLLOWER)).toEqual(before);
  });
  expect((await openPart(reader, FOLLOWER)).rows).toBe(0);
});

test("a failed slice moves nothing", async () => {
  await store([at("2026-01-01T10:00:00Z")]);
  const failing = followSlice(worker, lease, 10, async () => {
    throw new Error("no");
  });
  await expect(failing).rejects.toThrow("no");
  expect((await take())?.rows).toBe(1);
});

test("who has followed is told by the batches below a transaction, not by a cursor alone", async () => {
  await store([at("2026-01-01T10:00:00Z")]);
  const [row] = await rowsOf(db.pool, "select tx_horizon() as tx");
  const tx = Number(row?.tx);
  expect(await haveFollowed(worker, [FOLLOWER], tx)).toBe(false);
  await take();
  expect(await haveFollowed(worker, [FOLLOWER], tx)).toBe(true);
  expect(await haveFollowed(worker, [FOLLOWER, "never-ran"], tx)).toBe(false);
  expect(await haveFollowed(worker, [FOLLOWER], tx + 1_000_000)).toBe(false);
});

test("a held cron's transaction waits, and then knows what was done meanwhile without starting again", async () => {
  await store([at("2026-01-01T10:00:00Z")]);
  const snapshots: unknown[] = [];
  const following = () =>
    followSlice(worker, lease, 10, async (client) => {
      const { rows } = await client.query("select count(*)::int as n from settings_seen");
      snapshots.push(rows[0]?.n);
    });
  await db.pool.query("create table settings_seen (n integer)");
  await db.pool.query("grant select on settings_seen to headrace_worker");
  let waiting: Promise<unknown> = Promise.resolve();
  await inTransaction(db.pool, "repeatable read", async (holder) => {
    await holdCrons(holder, [FOLLOWER, "never-ran"]);
    waiting = following();
    await until(() => isWaiting(worker));
    await holder.query("insert into settings_seen values (1)");
  });
  await waiting;
  expect(snapshots).toEqual([1]);
});

test("who holds a cron's results meets what the cron committed meanwhile, and starts again", async () => {
  await store([at("2026-01-01T10:00:00Z")]);
  const holding = inTransaction(db.pool, "repeatable read", async (holder) => {
    await holder.query("select 1 from leases"); // its snapshot
    await take();
    await holdCrons(holder, [FOLLOWER]);
  });
  expect(sqlState(await holding.catch((error: unknown) => error))).toBe("40001");
});

test("who holds a cron waits for the slice that is under way, and then need not start again", async () => {
  await store([at("2026-01-01T10:00:00Z")]);
  let holding: Promise<unknown> = Promise.resolve();
  await followSlice(worker, lease, 10, async () => {
    holding = inTransaction(holders, "repeatable read", (holder) => holdCrons(holder, [FOLLOWER]));
    await until(() => isWaiting(holders));
  });
  await holding;
});
