/** What the tests of window reports share: a database, the handler, and ways to move time on. */
import { createPool, finishWindows, type Lease, takeLease } from "@headrace/db";
import { afterAll, beforeEach, expect } from "vitest";
import { testDatabase } from "../support/database.ts";
import { kafkaEvent } from "../support/kafka.ts";
import { httpClient } from "./http-client.ts";

/** A range that holds every event of `ingest`. */
export const DAY = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";

const RECORD_MILLIS = Date.parse("2026-01-02T00:00:00Z");
const CONTEXT = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };

/** To be called at the top of a test file; the database is emptied before each of its tests. */
export async function reportsStage() {
  const db = await testDatabase();
  process.env.DATABASE_REPORTS_URL = db.reportsUrl;
  process.env.DATABASE_WORKER_URL = db.workerUrl;
  const client = await httpClient(await import("../../functions/http/reports.ts"), [
    "reports:read",
  ]);
  const { handler: ingestEvents } = await import("../../functions/kafka/ingest-events.ts");
  const worker = createPool({ connectionString: db.workerUrl, max: 1 });
  // Its database is dropped while a connection may still be saying goodbye.
  worker.on("connect", (connection) => connection.on("error", () => {}));
  afterAll(() => worker.end());
  const lease = (await takeLease(worker, "finish-windows", "test", 600)) as Lease;
  let lastId = 0;

  beforeEach(async () => {
    await db.pool.query(
      `truncate stream_events, stream_batches, stream_progress, open_windows, realtime_aggregates;
       update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null;
       update clock set watermark = null, raw_from = '-infinity'`,
    );
  });

  return {
    pool: db.pool,
    client,

    /** Stores events of 1 January 2026; `time` is the time of day. */
    async ingest(...events: readonly (Record<string, unknown> & { time: string })[]) {
      const values = events.map(({ time, ...event }) => ({
        event_id: `00000000-0000-4000-8000-${String(++lastId).padStart(12, "0")}`,
        event_time: `2026-01-01T${time}Z`,
        event_type: "page_view",
        user_id: "u1",
        ...event,
      }));
      const batch = kafkaEvent("events", { 0: values }, { timestampMillis: RECORD_MILLIS });
      expect(await ingestEvents(batch, CONTEXT)).toEqual({ batchItemFailures: [] });
    },

    /** Stores whole events, received just now. */
    async ingestNow(...events: readonly Record<string, unknown>[]) {
      const batch = kafkaEvent("events", { 1: events }, { timestampMillis: Date.now() });
      expect(await ingestEvents(batch, CONTEXT)).toEqual({ batchItemFailures: [] });
    },

    finish: () => finishWindows(worker, lease, 1000),
    watermark: (text: string) => db.pool.query("update clock set watermark = $1", [text]),
    windowsOf: async (query: string) =>
      (await client.get(`/v1/reports/windows?${query}`)).body.windows,
  };
}
