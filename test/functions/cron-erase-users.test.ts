/** A user is erased while everything runs: through the functions, with ingest going on all along. */
import { expect, test } from "vitest";
import { testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";
import { kafkaEvent } from "../support/kafka.ts";
import { allDifferences, auditAll } from "../support/recompute.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
process.env.DATABASE_WORKER_URL = db.workerUrl;
const client = await httpClient(await import("../../functions/http/users.ts"), ["admin"]);
const { handler: ingest } = await import("../../functions/kafka/ingest-events.ts");
const crons = [
  (await import("../../functions/cron/finish-windows.ts")).handler,
  (await import("../../functions/cron/finish-sessions.ts")).handler,
  (await import("../../functions/cron/find-joins.ts")).handler,
  (await import("../../functions/cron/refresh-segments.ts")).handler,
  (await import("../../functions/cron/erase-users.ts")).handler,
];
const reader = testPool(db.reportsUrl, 1);
const CONTEXT = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };
const TAKEN = { batchItemFailures: [] };

let made = 0;
const event = (user: string, minute: number): Record<string, unknown> => ({
  event_id: `00000000-0000-4000-8000-${String(++made).padStart(12, "0")}`,
  event_time: new Date(Date.UTC(2026, 0, 1) + minute * 60_000).toISOString(),
  event_type: ["login", "page_view", "add_to_cart", "purchase"][made % 4],
  user_id: user,
  value: made % 7,
  category: "toys",
  product_id: `p${made % 3}`,
});

const rowsNaming = async (user: string): Promise<number> => {
  const { rows } = await db.pool.query<{ n: number }>(
    "select count(*)::integer as n from stream_events where user_id = $1",
    [user],
  );
  return rows[0]?.n ?? 0;
};

test("nothing of an erased user is found back, though ingest went on and the whole topic is read again", async () => {
  const old = Array.from({ length: 400 }, (_, n) => event(n % 4 === 0 ? "other" : "gone", n * 7));
  const timestampMillis = Date.now() - 60_000;
  const first = kafkaEvent("events", { 0: old.slice(0, 300) }, { timestampMillis });
  expect(await ingest(first, CONTEXT)).toEqual(TAKEN);
  // Records that were in Kafka before the request, and are taken in after it.
  const lagging = kafkaEvent("events", { 1: old.slice(300) }, { timestampMillis });

  const { status, body } = await client.ask("DELETE", "/v1/users/gone");
  expect(status).toBe(202);
  let isDone = false;
  const goingOn = (async () => {
    expect(await ingest(lagging, CONTEXT)).toEqual(TAKEN);
    for (let minute = 0; !isDone; minute += 1) {
      const more = kafkaEvent(
        "events",
        { 2: [event("other", minute), event("gone", 2_700 + minute)] },
        { timestampMillis: Date.now() + 3_600_000 },
      );
      expect(await ingest(more, CONTEXT)).toEqual(TAKEN);
    }
  })();
  while (!isDone) {
    for (const cron of crons) await cron({}, CONTEXT);
    isDone = (await client.get(`/v1/erasures/${body.job_id}`)).body.state === "done";
  }
  await goingOn;

  const fresh = await rowsNaming("gone");
  expect(fresh).toBeGreaterThan(0);
  const replayed = kafkaEvent(
    "events",
    { 0: old.slice(0, 300) },
    { timestampMillis, offsets: { 0: 0 } },
  );
  expect(await ingest(replayed, CONTEXT)).toEqual(TAKEN);
  const again = kafkaEvent("events", { 3: old }, { timestampMillis });
  expect(await ingest(again, CONTEXT)).toEqual(TAKEN);
  const { rows } = await db.pool.query(
    "select count(*)::integer as n from stream_events where user_id = 'gone' and record_time < now()",
  );
  expect(rows).toEqual([{ n: 0 }]);
  expect(await rowsNaming("gone")).toBe(fresh);
  for (const cron of crons) await cron({}, CONTEXT);
  expect(await allDifferences(reader)).toEqual([]);
  expect(await auditAll(reader)).toEqual([]);
}, 120_000);
