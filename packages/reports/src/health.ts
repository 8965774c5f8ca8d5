/** GET /health: whether requests can be served, told without a token and so without any detail. */
import type { Sql } from "@headrace/db";
import * as z from "zod";

export const HealthAnswer = z.strictObject({
  /** `degraded`: reports are served, but Kafka has not been heard of for 30 s. */
  status: z.enum(["ok", "degraded"]),
  version: z.string(),
  database: z.literal("ok"),
  /** As the cron that reads end offsets found it; `unknown` where none has run yet. */
  kafka: z.enum(["ok", "silent", "unknown"]),
});
export type HealthAnswer = z.output<typeof HealthAnswer>;

/** Rejects as `sql` does where the database cannot be asked. */
export async function readHealth(sql: Sql, version: string): Promise<HealthAnswer> {
  const { rows } = await sql.query<{ is_recent: boolean | null }>({
    name: "read-health",
    text: "select max(read_at) > clock_timestamp() - interval '30 seconds' as is_recent from stream_ends",
  });
  const isRecent = rows[0]?.is_recent ?? null;
  return {
    status: isRecent === false ? "degraded" : "ok",
    version,
    database: "ok",
    kafka: isRecent === null ? "unknown" : isRecent ? "ok" : "silent",
  };
}
