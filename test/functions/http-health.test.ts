import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();

test("health is answered 503, and soon, while the database does not answer", async () => {
  // Takes connections and says nothing, like a server that was stopped.
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const url = new URL(db.reportsUrl);
  url.port = String((silent.address() as { port: number }).port);
  process.env.DATABASE_REPORTS_URL = url.href;
  const client = await httpClient(await import("../../functions/http/operations.ts"), []);
  const startedAt = performance.now();
  const { status, body } = await client.get("/health", { token: null });
  expect(status).toBe(503);
  expect(["database.unavailable", "database.busy"]).toContain(body.code);
  expect(performance.now() - startedAt).toBeLessThan(4_000);
  expect(JSON.stringify(body)).not.toContain(url.port);
  silent.close();
});
