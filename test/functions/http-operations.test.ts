import { FOLLOWERS } from "@headrace/db";
import { beforeEach, describe, expect, test } from "vitest";
import metadata from "../../package.json" with { type: "json" };
import { testDatabase } from "../support/database.ts";
import { kafkaEvent } from "../support/kafka.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
process.env.DATABASE_WORKER_URL = db.workerUrl;
const client = await httpClient(await import("../../functions/http/operations.ts"), [
  "reports:read",
]);
const { handler: ingestEvents } = await import("../../functions/kafka/ingest-events.ts");

const RECORD_MILLIS = Date.parse("2026-11-01T00:00:00Z");
const ingest = async (
  values: readonly unknown[],
  options: { partition?: number; firstOffset?: number } = {},
) => {
  const { partition = 0, firstOffset } = options;
  const batch = kafkaEvent(
    "t",
    { [partition]: values },
    {
      timestampMillis: RECORD_MILLIS,
      ...(firstOffset === undefined ? {} : { offsets: { [partition]: firstOffset } }),
    },
  );
  const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
  expect(await ingestEvents(batch, context)).toEqual({ batchItemFailures: [] });
};
const event = (time: string, more: Record<string, unknown> = {}) => ({
  event_time: time,
  event_type: "page_view",
  user_id: "u1",
  ...more,
});

beforeEach(async () => {
  await db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, stream_ends, stream_gaps, dead_letters,
       open_windows, realtime_aggregates, leases;
     update clock set watermark = null`,
  );
});

describe("GET /health", () => {
  test("needs no token, and says what is known of Kafka", async () => {
    const health = async () => (await client.get("/health", { token: null })).body;
    const ok = { status: "ok", version: metadata.version, database: "ok" };
    expect(await health()).toEqual({ ...ok, kafka: "unknown" });
    await db.pool.query(
      "insert into stream_ends values ('t', 0, 0, 0, now()), ('t', 1, 0, 0, now() - interval '1 hour')",
    );
    expect(await health()).toEqual({ ...ok, kafka: "ok" });
    await db.pool.query("update stream_ends set read_at = now() - interval '31 seconds'");
    expect(await health()).toEqual({ ...ok, status: "degraded", kafka: "silent" });
  });
});

describe("GET /v1/progress", () => {
  const progress = async () => (await client.get("/v1/progress")).body;
  const readEnd = (end: number, partition = 0, ago = "0 seconds") =>
    db.pool.query(
      `insert into stream_ends values ($1, $2, 0, $3, clock_timestamp() - $4::interval)
       on conflict (topic, partition) do update
       set end_offset = excluded.end_offset, read_at = excluded.read_at`,
      ["t", partition, end, ago],
    );

  /** As if these had run: cursors behind all events, and no open windows. */
  const finishResults = async (followers: readonly string[] = FOLLOWERS): Promise<void> => {
    await db.pool.query(
      `insert into leases (name, tx_cursor)
       select name, (select max(tx) + 1 from stream_batches)
       from unnest($1::text[]) as follower (name)
       on conflict (name) do update
       set tx_cursor = excluded.tx_cursor`,
      [followers],
    );
    await db.pool.query("truncate open_windows");
  };

  test("of a database that knows no partition is empty and not caught up", async () => {
    // The age is of the whole server, which other tests write to: 0 between two of their writes.
    await expect.poll(progress, { interval: 10, timeout: 10_000 }).toEqual({
      partitions: [],
      watermark: null,
      xmin_age_seconds: 0,
      caught_up: false,
    });
  });

  test("counts events, duplicates, dead letters and late ones, partition by partition", async () => {
    const id = "00000000-0000-4000-8000-000000000001";
    const times = ["23:59:00", "23:58:54", "23:58:00", "23:00:00", "00:00:00"];
    await ingest([
      ...times.map((time) => event(`2026-10-31T${time}Z`)),
      event("2026-10-01T00:00:00.5Z", { event_id: id }),
      event("2026-10-01T00:00:00.5Z", { event_id: id }),
      "no event",
    ]);
    await ingest([event("2026-10-31T23:59:30.25Z")], { partition: 2 });
    await readEnd(10);
    await readEnd(5, 1);
    await db.pool.query("update clock set watermark = '2026-10-31T23:58:55Z'");
    const body = await progress();
    expect(body.partitions).toEqual([
      {
        topic: "t",
        partition: 0,
        next_offset: 8,
        finished_offset: 0,
        end_offset: 10,
        lag: 2,
        watermark: "2026-10-31T23:58:55Z",
        event_time_lag_seconds: expect.closeTo(
          (Date.now() - Date.parse("2026-10-31T23:58:55Z")) / 1000,
          -2,
        ),
        events: 6,
        duplicates: 1,
        dead_letters: 1,
        erased: 0,
        gaps: 0,
        late: { within_1m: 2, within_1h: 1, within_1d: 1, older: 1 },
      },
      expect.objectContaining({
        partition: 1,
        next_offset: 0,
        finished_offset: 0,
        end_offset: 5,
        lag: 5,
        watermark: null,
        event_time_lag_seconds: null,
        events: 0,
        late: { within_1m: 0, within_1h: 0, within_1d: 0, older: 0 },
      }),
      expect.objectContaining({
        partition: 2,
        next_offset: 1,
        end_offset: null,
        lag: null,
        watermark: "2026-10-31T23:59:25.25Z",
      }),
    ]);
    expect(body.watermark).toBe("2026-10-31T23:58:55Z");
    expect(body.caught_up).toBe(false);
  });

  test("is caught up once the ends are known, recent and reached, and no gap is open", async () => {
    await ingest([event("2026-10-31T00:00:00Z")], { firstOffset: 0 });
    await finishResults();
    expect((await progress()).caught_up).toBe(false);
    await readEnd(1);
    expect((await progress()).caught_up).toBe(true);
    await readEnd(2);
    expect((await progress()).caught_up).toBe(false);
    await readEnd(1, 0, "31 seconds");
    expect((await progress()).caught_up).toBe(false);
    await readEnd(1);
    await readEnd(1, 1);
    expect((await progress()).caught_up).toBe(false);
    await readEnd(0, 1);
    expect((await progress()).caught_up).toBe(true);
    await ingest([event("2026-10-31T00:00:01Z")], { firstOffset: 3 });
    await finishResults();
    await readEnd(4);
    const body = await progress();
    expect([body.partitions[0].gaps, body.partitions[0].lag, body.caught_up]).toEqual([
      1,
      0,
      false,
    ]);
  });

  test("is not caught up before every follower has passed the events, and their windows are folded", async () => {
    await ingest([event("2026-10-31T00:00:00Z")], { firstOffset: 0 });
    await finishResults();
    const two = [event("2026-10-31T00:00:01Z"), event("2026-10-31T00:00:02Z")];
    await ingest(two, { firstOffset: 1 });
    await readEnd(3);
    const finished = async () => {
      const { partitions, caught_up } = await progress();
      return [partitions[0].next_offset, partitions[0].finished_offset, caught_up];
    };
    expect(await finished()).toEqual([3, 1, false]);
    await finishResults(FOLLOWERS.slice(1));
    expect(await finished()).toEqual([3, 1, false]);
    await finishResults(FOLLOWERS.slice(0, 1));
    expect(await finished()).toEqual([3, 3, true]);
    await ingest([event("2026-10-31T00:00:03Z")], { firstOffset: 3 });
    // Its end has not been read since.
    expect(await finished()).toEqual([4, 3, true]);
    await finishResults();
    expect(await finished()).toEqual([4, 4, true]);
  });

  test("an end that was read before the last commit leaves no lag; of a new log all is unread", async () => {
    const values = [0, 1, 2].map((n) => event(`2026-10-31T00:00:0${n}Z`));
    await readEnd(1);
    await ingest(values, { firstOffset: 0 });
    expect((await progress()).partitions[0].lag).toBe(0);
    await readEnd(2);
    expect((await progress()).partitions[0].lag).toBe(2);
  });

  test("tells how long the oldest writer has been at work", async () => {
    const writer = await db.pool.connect();
    try {
      await writer.query("begin");
      await writer.query("select pg_current_xact_id(), pg_sleep(0.05)");
      expect((await progress()).xmin_age_seconds).toBeGreaterThanOrEqual(0.05);
      await writer.query("rollback");
    } finally {
      writer.release();
    }
    const age = async () => (await progress()).xmin_age_seconds;
    await expect.poll(age, { interval: 10, timeout: 10_000 }).toBe(0);
  });
});
