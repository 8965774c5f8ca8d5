/** How far the running system has read a topic, from its database: for one that is reached without HTTP. */
import { createPool, explainDatabase } from "@headrace/db";
import { type AppError, invalid, unavailable } from "@headrace/kernel";
import { readProgress } from "@headrace/reports";
import { type ReadProgress, topicProgress } from "./topic-progress.ts";

export interface DatabaseProgress {
  /** Throws `replay.database` where there is no usable answer. */
  readonly read: ReadProgress;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;

/** `databaseUrl`: the owner's, or that of headrace_reports. Throws `replay.database`. */
export function databaseProgress(databaseUrl: string): DatabaseProgress {
  const url = URL.parse(databaseUrl);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol))
    throw invalid(
      "replay.database",
      "DATABASE_URL must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
    );
  const pool = createPool({
    connectionString: databaseUrl,
    max: 1,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: "headrace-replay",
  });
  pool.on("error", () => {}); // the next question tells
  return {
    read: async (topic) => {
      try {
        return topicProgress((await readProgress(pool)).partitions, topic);
      } catch (error) {
        throw explained(error, databaseUrl);
      }
    },
    close: () => pool.end(),
  };
}

/** What may pass is `unavailable`. */
function explained(error: unknown, databaseUrl: string): AppError {
  const { host, pathname, username } = new URL(databaseUrl);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "42P01")
    return invalid(
      "replay.database",
      `the database ${pathname.slice(1)} at ${host} holds no Headrace: DATABASE_URL must name the one that it works on`,
    );
  if (code === "42501")
    return invalid(
      "replay.database",
      `${username} may not read the progress in the database ${pathname.slice(1)} at ${host}: DATABASE_URL must name its owner or headrace_reports`,
    );
  const said = explainDatabase(error, databaseUrl);
  const message = said instanceof Error ? said.message : String(said);
  const make = /^(28|3D|42)/.test(code) ? invalid : unavailable;
  return make("replay.database", message, { cause: error });
}
