import {
  awaitLease,
  hasWaiter,
  inTransaction,
  type Lease,
  releaseLease,
  renewLease,
  requireLease,
  takeLease,
} from "@headrace/db";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { isWaiting, leaseOf, rowsOf, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 4);
beforeEach(() => db.pool.query("truncate leases"));

const expire = () =>
  db.pool.query("update leases set expires_at = clock_timestamp() - interval '1 millisecond'");
const kept = async () =>
  (
    await rowsOf(
      db.pool,
      "select fence, holder, waiting, expires_at > clock_timestamp() as held from leases",
    )
  )[0];

test("a lease is one runner's until it is given back", async () => {
  const first = await leaseOf(worker, "x");
  expect(await takeLease(worker, "x", "second", 60)).toBe(undefined);
  await releaseLease(worker, first);
  const second = await takeLease(worker, "x", "second", 60);
  expect(second?.fence).toBe(first.fence + 1);
  expect(await kept()).toMatchObject({ holder: "second", held: true });
});

test("leases of different names do not hinder each other", async () => {
  await leaseOf(worker, "x");
  expect(await takeLease(worker, "y", "other", 60)).toMatchObject({ name: "y", fence: 1 });
});

test("of many that try at once one gets it", async () => {
  const tries = await Promise.all(
    Array.from({ length: 12 }, (_, index) => takeLease(worker, "x", `runner ${index}`, 60)),
  );
  expect(tries.filter((lease) => lease !== undefined)).toHaveLength(1);
});

test("a lease that has ended is taken over with a higher fence, and then lost to its old holder", async () => {
  const old = await leaseOf(worker, "x");
  await expire();
  const mine = await leaseOf(worker, "x");
  expect(mine.fence).toBe(old.fence + 1);
  expect(await renewLease(worker, old)).toBe(false);
  const writing = inTransaction(worker, "read committed", (client) => requireLease(client, old));
  await expect(writing).rejects.toMatchObject({
    kind: "conflict",
    code: "lease.lost",
  });
  await releaseLease(worker, old);
  expect(await kept()).toMatchObject({ fence: mine.fence, held: true });
});

test("renewing makes it last for its full time again, even after its end while nobody took it", async () => {
  const lease = await leaseOf(worker, "x");
  await expire();
  expect(await renewLease(worker, lease)).toBe(true);
  expect(await kept()).toMatchObject({ fence: lease.fence, held: true });
});

test("who waits is seen by the holder alone, and forgotten once somebody has taken over", async () => {
  const lease = await leaseOf(worker, "x");
  expect(await hasWaiter(worker, lease)).toBe(false);
  await awaitLease(worker, "x", "next");
  expect(await hasWaiter(worker, lease)).toBe(true);
  await releaseLease(worker, lease);
  const next = await leaseOf(worker, "x");
  expect(await hasWaiter(worker, next)).toBe(false);
  expect(await hasWaiter(worker, lease)).toBe(true);
});

/** A holder's transaction: its fence first, then work. */
const work = (lease: Lease, before: () => Promise<unknown>): Promise<void> =>
  inTransaction(worker, "read committed", async (client) => {
    await before();
    await requireLease(client, lease);
    await client.query("update clock set watermark = now()");
  });

test("a transaction that was open when its lease was taken over rolls back", async () => {
  await db.pool.query("update clock set watermark = null");
  const old = await leaseOf(worker, "x");
  const takeOver = async () => {
    await expire();
    await leaseOf(worker, "x");
  };
  await expect(work(old, takeOver)).rejects.toMatchObject({ code: "lease.lost" });
  expect(await rowsOf(db.pool, "select watermark from clock")).toEqual([{ watermark: null }]);
});

test("a takeover waits for the holder's open transaction, which keeps the lease when it commits", async () => {
  const holder = await leaseOf(worker, "x");
  await expire();
  let takeover: Promise<Lease | undefined> | undefined;
  await inTransaction(worker, "read committed", async (client) => {
    await requireLease(client, holder);
    takeover = takeLease(worker, "x", "next", 60);
    await expect.poll(() => isWaiting(db.pool)).toBe(true);
  });
  expect(await takeover).toBe(undefined);
  expect(await renewLease(worker, holder)).toBe(true);
});
