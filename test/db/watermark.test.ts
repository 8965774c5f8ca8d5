import { advanceWatermark, type Client, inTransaction, readClock, recordEnds } from "@headrace/db";
import { beforeEach, describe, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { event, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const reports = testPool(db.reportsUrl, 1);
const worker = testPool(db.workerUrl, 2);

interface PartitionState {
  readonly topic?: string;
  readonly partition: number;
  /** Of `stream_progress`; without it the partition has no row yet. */
  readonly next?: number;
  readonly watermark?: string | null;
  readonly committedSecondsAgo?: number;
  /** Of `stream_ends`; without it its ends were never read. */
  readonly ends?: readonly [begin: number, end: number];
  readonly readSecondsAgo?: number;
}

const ACTIVE = { committedSecondsAgo: 1, ends: [0, 10], readSecondsAgo: 2, next: 10 } as const;
const IDLE = { ...ACTIVE, committedSecondsAgo: 61 } as const;

async function arrange(...partitions: readonly PartitionState[]): Promise<void> {
  await db.pool.query("truncate stream_progress, stream_ends");
  for (const it of partitions) {
    const { topic = "events", partition, next, watermark = null, ends } = it;
    if (next !== undefined) {
      await db.pool.query(
        `insert into stream_progress (topic, partition, next_offset, watermark, committed_at)
         values ($1, $2, $3, $4, clock_timestamp() - make_interval(secs => $5))`,
        [topic, partition, next, watermark, it.committedSecondsAgo ?? 0],
      );
    }
    if (ends !== undefined) {
      await db.pool.query(
        `insert into stream_ends (topic, partition, begin_offset, end_offset, read_at)
         values ($1, $2, $3, $4, clock_timestamp() - make_interval(secs => $5))`,
        [topic, partition, ...ends, it.readSecondsAgo ?? 0],
      );
    }
  }
}

/** Where the partitions let the overall watermark be: an instant, null, or `now - 65 s`. */
async function overall(): Promise<string | null> {
  const [row] = await rowsOf(
    db.pool,
    `select
       case
         when mark between clock_timestamp() - interval '70 seconds' and clock_timestamp() - interval '65 seconds'
           then 'now - 65 s'
         else to_char(mark at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
       end as watermark
     from overall_watermark() as mark`,
  );
  return row?.watermark as string | null;
}

const at = (minute: number): string => `2026-01-01 00:${String(minute).padStart(2, "0")}:00`;
const stamp = (minute: number): string => `${at(minute)}+00`;

describe("the overall watermark", () => {
  test("is unknown while nothing is known of any partition", async () => {
    await arrange();
    expect(await overall()).toBe(null);
  });

  test("is the least over active partitions, of whatever topic", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { ...ACTIVE, partition: 1, watermark: stamp(2) },
      { ...ACTIVE, partition: 0, topic: "other", watermark: stamp(5) },
    );
    expect(await overall()).toBe(at(2));
  });

  test("leaves out a partition that has been idle for a minute", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { ...IDLE, partition: 1, watermark: stamp(1) },
    );
    expect(await overall()).toBe(at(3));
  });

  test("waits for a partition that committed less than a minute ago", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { ...IDLE, committedSecondsAgo: 55, partition: 1, watermark: stamp(1) },
    );
    expect(await overall()).toBe(at(1));
  });

  test("waits for a quiet partition that has unread records", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { ...IDLE, ends: [0, 11], partition: 1, watermark: stamp(1) },
    );
    expect(await overall()).toBe(at(1));
  });

  test("waits for a quiet partition whose ends were never read, or not since its last commit, or long ago", async () => {
    const { ends: _, ...unread } = IDLE;
    const unknown = [
      unread,
      { ...IDLE, committedSecondsAgo: 61, readSecondsAgo: 62 },
      { ...IDLE, committedSecondsAgo: 600, readSecondsAgo: 40 },
    ];
    for (const state of unknown) {
      await arrange(
        { ...ACTIVE, partition: 0, watermark: stamp(3) },
        { ...state, partition: 1, watermark: stamp(1) },
      );
      expect(await overall()).toBe(at(1));
    }
  });

  test("is held, unknown, by a partition with unread records and no row yet", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { partition: 1, ends: [5, 6], readSecondsAgo: 1 },
    );
    expect(await overall()).toBe(null);
  });

  test("is not held by a partition without a row whose log is empty", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { partition: 1, ends: [6, 6], readSecondsAgo: 1 },
    );
    expect(await overall()).toBe(at(3));
  });

  test("is held by an active partition that has no watermark yet", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { ...ACTIVE, partition: 1, watermark: null },
    );
    expect(await overall()).toBe(null);
  });

  test("follows the clock, 65 s behind, when every partition is idle", async () => {
    await arrange(
      { ...IDLE, partition: 0, watermark: stamp(3) },
      { ...IDLE, partition: 1, watermark: null },
      { partition: 2, ends: [0, 0], readSecondsAgo: 1 },
    );
    expect(await overall()).toBe("now - 65 s");
  });

  test("waits for a log that was made again and holds records, though it ends before what was read", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { ...IDLE, next: 1000, ends: [0, 4], partition: 1, watermark: stamp(1) },
    );
    expect(await overall()).toBe(at(1));
  });

  test("does not wait for a log that was made again and is empty", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { ...IDLE, next: 1000, ends: [0, 0], partition: 1, watermark: stamp(1) },
    );
    expect(await overall()).toBe(at(3));
  });

  test("does not wait for a topic that was deleted", async () => {
    await arrange(
      { ...ACTIVE, partition: 0, watermark: stamp(3) },
      { ...IDLE, topic: "gone", partition: 7, watermark: stamp(1), readSecondsAgo: 62 },
    );
    expect(await overall()).toBe(at(1));
    await recordEnds(worker, ["gone"], [], await readClock(worker));
    expect(await overall()).toBe(at(3));
  });
});

describe("the stored watermark", () => {
  beforeEach(() => db.pool.query("update clock set watermark = null"));
  const stored = async (): Promise<unknown> =>
    (
      await rowsOf(
        db.pool,
        "select to_char(watermark at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as mark from clock",
      )
    )[0]?.mark;

  test("rises with the partitions and never falls, nor becomes unknown again", async () => {
    const slower = { ...ACTIVE, partition: 1 };
    await arrange({ ...ACTIVE, partition: 0, watermark: stamp(3) });
    expect(await advanceWatermark(worker)).toBe(Date.parse(`${at(3)}Z`) * 1000);
    for (const watermark of [stamp(1), null]) {
      await arrange({ ...ACTIVE, partition: 0, watermark: stamp(4) }, { ...slower, watermark });
      expect(await advanceWatermark(worker)).toBe(Date.parse(`${at(3)}Z`) * 1000);
      expect(await stored()).toBe(at(3));
    }
    await arrange({ ...ACTIVE, partition: 0, watermark: stamp(5) });
    await advanceWatermark(worker);
    expect(await stored()).toBe(at(5));
  });

  test("does not fall when a partition stops being idle while it is worked out", async () => {
    // The first look of the statement finds all idle, a later one does not.
    await db.pool.query("create sequence looks");
    await db.pool.query("grant usage on sequence looks to headrace_worker");
    const { rows } = await db.pool.query<{ text: string }>(
      "select pg_get_functiondef('overall_watermark()'::regprocedure) as text",
    );
    await db.pool.query("update clock set watermark = '2026-01-01 00:03:00+00'");
    await db.pool.query(
      `create or replace function overall_watermark() returns timestamptz language sql volatile
       return case when nextval('looks') = 1 then timestamptz '2026-01-01 00:09:00+00'
                   else timestamptz '2026-01-01 00:01:00+00' end`,
    );
    try {
      await advanceWatermark(worker);
      expect(await stored()).toBe(at(3));
    } finally {
      await db.pool.query(rows[0]?.text ?? "");
    }
  });
});

test("ends that were read before a commit do not make its log look shorter than what was read", async () => {
  await arrange();
  const first = Array.from({ length: 10 }, () => event());
  await takeIn(worker, first, { topic: "t" });
  // Kafka is asked, and answers before ten more records are produced and taken in.
  const readAt = await readClock(worker);
  await takeIn(
    worker,
    Array.from({ length: 10 }, () => event()),
    { topic: "t" },
  );
  await recordEnds(worker, ["t"], [{ topic: "t", partition: 0, begin: 0, end: 10 }], readAt);
  await takeIn(worker, first, { topic: "t", offset: 0 });
  expect(
    await rowsOf(db.pool, "select next_offset, events, duplicates from stream_progress"),
  ).toEqual([{ next_offset: 20, events: 20, duplicates: 0 }]);
});

test("a log that was seen to end earlier after the last commit was made again, though all its events are known", async () => {
  await arrange();
  const events = Array.from({ length: 10 }, () => event());
  await takeIn(worker, events, { topic: "again" });
  const range = { topic: "again", partition: 0, begin: 0, end: 3 };
  await recordEnds(worker, ["again"], [range], await readClock(worker));
  await takeIn(worker, events.slice(0, 3), { topic: "again", offset: 0 });
  expect(
    await rowsOf(db.pool, "select next_offset, events, duplicates from stream_progress"),
  ).toEqual([{ next_offset: 3, events: 10, duplicates: 3 }]);
});

test("the age of the oldest open write transaction is told to every role, that of a reader is not", async () => {
  // Other tests write on the same server, in short transactions.
  const isHeldBy = async (client: Client): Promise<boolean> => {
    const { rows } = await client.query<{ age: number }>(
      "select extract(epoch from clock_timestamp() - now())::double precision as age",
    );
    const [told] = await rowsOf(reports, "select xmin_age_seconds() as age");
    return Number(told?.age) >= (rows[0]?.age ?? 0);
  };
  await inTransaction(db.pool, "repeatable read", async (reader) => {
    await reader.query("select count(*) from stream_events");
    await expect.poll(() => isHeldBy(reader)).toBe(false);
  });
  await inTransaction(db.pool, "read committed", async (writer) => {
    const { rows } = await writer.query("select pg_current_xact_id()::text::bigint as xid");
    expect(await isHeldBy(writer)).toBe(true);
    const [horizon] = await rowsOf(worker, "select tx_horizon() as tx");
    expect(horizon?.tx).toBeLessThanOrEqual(rows[0]?.xid);
  });
});
