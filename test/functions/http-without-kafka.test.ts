import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { type Answer, httpClient } from "./http-client.ts";

const db = await testDatabase();
const port = await freePort();
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.KAFKA_BROKERS = `127.0.0.1:${port}`;
const collect = await import("../../functions/http/collect.ts");
const operations = await import("../../functions/http/operations.ts");

function assertUnavailable({ status, body, headers }: Answer): void {
  expect([status, body.code]).toEqual([503, "kafka.unavailable"]);
  expect(Number(headers["retry-after"])).toBeGreaterThan(0);
  // Where Kafka is, is nobody's business.
  expect(JSON.stringify(body)).not.toContain(String(port));
}

test("while Kafka cannot be reached, requests that need it are answered 503 soon", async () => {
  const id = "019a0000-0000-8000-8000-000000000001";
  await db.pool.query(
    `insert into dead_letters
       (dead_letter_id, topic, partition, record_offset, record_time, code, path, message, bytes)
     values ($1, 'events', 0, 0, now(), 'event.not_json', '', '', 'x')`,
    [id],
  );
  const client = await httpClient(collect, ["events:write"]);
  const admin = await httpClient(operations, ["admin"]);
  const startedAt = performance.now();
  const event = { event_time: new Date().toISOString(), event_type: "login", user_id: "u" };
  const [collected, replayed] = await Promise.all([
    client.post("/v1/events", event),
    admin.post("/v1/dead-letters/replay", { ids: [id] }),
  ]);
  expect(performance.now() - startedAt).toBeLessThan(9_000);
  assertUnavailable(collected);
  assertUnavailable(replayed);
  const { rows } = await db.pool.query("select replayed_at from dead_letters");
  expect(rows).toEqual([{ replayed_at: null }]);
});

/** A port at which nothing listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 1;
}
