/**
 * No timeout of PostgreSQL's is looked at while a COPY waits for its client. A process that was
 * stopped in the middle of one held its partition, and the cut, for as long as it stood.
 */
import { createPool } from "@headrace/db";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { afterAll, expect, test, vi } from "vitest";
import { testDatabase } from "../support/database.ts";
import { serveLogs } from "../support/model-kafka.ts";
import { PartitionLog } from "../support/model-log.ts";

vi.mock("@headrace/kafka", async (original) => ({
  ...(await original<object>()),
  ...(await import("../support/model-kafka.ts")),
}));

const db = await testDatabase();
await db.pool.query(
  `alter role headrace_worker in database ${db.name} set transaction_timeout = '200ms'`,
);
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = "model:9092";
const { handler } = await import("../../functions/cron/watch-progress.ts");
serveLogs([new PartitionLog("events", 0)]);

const pool = createPool({ connectionString: db.workerUrl, max: 1 });
afterAll(() => pool.end());

const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 30_000 };

async function standing(): Promise<string | undefined> {
  const { rows } = await db.pool.query<{ waits: string }>(
    `select wait_event as waits
     from pg_stat_activity
     where datname = current_database()
       and query like 'copy stream_events%'
       and xact_start < clock_timestamp() - interval '1.3 seconds'`,
  );
  return rows[0]?.waits;
}

test("the cron ends a session that stands in a COPY past its time, and leaves young ones", async () => {
  const client = new pg.Client({ connectionString: db.workerUrl });
  const lost = new Promise((resolve) => client.once("error", resolve));
  await client.connect();
  await client.query("begin");
  const copy = client.query(copyFrom("copy stream_events (event_id) from stdin"));
  const failed = new Promise<Error>((resolve) => copy.once("error", resolve));
  await handler({}, context);
  // PostgreSQL itself lets it stand.
  await expect.poll(standing, { timeout: 10_000 }).toBe("ClientRead");
  await handler({}, context);
  expect((await failed).message).toMatch(/terminating connection|terminated unexpectedly/);
  await lost;
  expect(await standing()).toBeUndefined();
});
