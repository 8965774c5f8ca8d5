/** The time that ends are stored with is from before Kafka was asked: a later one would lie. */
import { expect, test, vi } from "vitest";
import { event, takeIn } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";

const db = await testDatabase();
const clock = async (): Promise<number> =>
  (await db.pool.query<{ now: number }>("select clock_timestamp() as now")).rows[0]?.now ?? 0;

let answeredAt = 0;
vi.mock("@headrace/kafka", async (original) => ({
  ...(await original<object>()),
  createAdmin: () => ({
    async offsets([topic]: readonly string[]) {
      answeredAt = await clock();
      return [{ topic, partition: 0, begin: 0, end: 7 }];
    },
    async close() {},
  }),
}));

process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = "model:9092";
const { handler } = await import("../../functions/cron/watch-progress.ts");

test("ends are no younger than the moment before Kafka was asked for them", async () => {
  await takeIn(db.pool, [event()], { topic: "t" });
  await handler({}, { awsRequestId: "test", getRemainingTimeInMillis: () => 30_000 });
  const { rows } = await db.pool.query<{ read_at: number; end_offset: number }>(
    "select read_at, end_offset from stream_ends where topic = 't'",
  );
  expect(rows[0]?.end_offset).toBe(7);
  expect(rows[0]?.read_at).toBeLessThan(answeredAt);
});
