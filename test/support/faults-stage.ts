/** What histories are played on: one database, two processes' worth of functions, and the gate. */
import { ensureEpoch, ingestPartition, type Pool } from "@headrace/db";
import {
  closePools,
  cronHandler,
  forgetConfig,
  kafkaHandler,
  openPool,
  pool,
  useLogger,
} from "@headrace/handler";
import type { LogFields, Logger } from "@headrace/kernel";
import { afterAll } from "vitest";
import { type TestDatabase, testDatabase } from "./database.ts";
import { endSpares, throughGate } from "./faults-client.ts";
import { Gate } from "./faults-gate.ts";
import { type Instance, ownerPool, type Stage } from "./faults-world.ts";
import { HORIZON_DAYS } from "./model-log.ts";

/** To be called at the top of a test file. `database`: default one of its own on the run's server. */
export async function faultStage(given?: TestDatabase): Promise<Stage> {
  const database = given ?? (await testDatabase());
  // Two transactions that wait for each other need not do so for long.
  await database.pool.query(
    `alter database ${database.name} set deadlock_timeout = '20ms';
     alter database ${database.name} set timezone = 'UTC'`,
  );
  process.env.DATABASE_WORKER_URL = database.workerUrl;
  process.env.EVENT_HORIZON_DAYS = String(HORIZON_DAYS);
  process.env.KAFKA_BROKERS = "model:9092";
  forgetConfig();
  const logged: unknown[] = [];
  const log = keepingLogger(logged);
  useLogger(log);
  const owner = ownerPool(database);
  const gate = new Gate(owner);
  const instances = [await deployed(gate), await other(gate, database, log)];
  afterAll(async () => {
    useLogger(undefined);
    await Promise.all(instances.map((instance) => instance.restart()));
    await closePools();
    await endSpares(gate);
    await owner.end();
  });
  return { database, gate, owner, instances, logged };
}

/** The exported handlers and their own pool. */
async function deployed(gate: Gate): Promise<Instance> {
  const { handler: ingest } = await import("../../functions/kafka/ingest-events.ts");
  const { handler: fillGaps } = await import("../../functions/cron/fill-gaps.ts");
  const { handler: finishWindows } = await import("../../functions/cron/finish-windows.ts");
  const { handler: watchProgress } = await import("../../functions/cron/watch-progress.ts");
  const followers = {
    "finish-sessions": (await import("../../functions/cron/finish-sessions.ts")).handler,
    "find-joins": (await import("../../functions/cron/find-joins.ts")).handler,
    "refresh-segments": (await import("../../functions/cron/refresh-segments.ts")).handler,
  };
  throughGate(pool("worker"), gate);
  return {
    name: "a",
    ingest,
    fillGaps,
    finishWindows,
    watchProgress,
    followers,
    pool: () => pool("worker"),
    async restart() {
      await closePools();
      throughGate(pool("worker"), gate);
    },
  };
}

/** A second process with a pool, and a memory, of its own. */
async function other(gate: Gate, database: TestDatabase, log: Logger): Promise<Instance> {
  const crons = {
    fillGaps: (await import("../../functions/cron/fill-gaps.ts")).cron,
    finishWindows: (await import("../../functions/cron/finish-windows.ts")).cron,
    watchProgress: (await import("../../functions/cron/watch-progress.ts")).cron,
    finishSessions: (await import("../../functions/cron/finish-sessions.ts")).cron,
    findJoins: (await import("../../functions/cron/find-joins.ts")).cron,
    refreshSegments: (await import("../../functions/cron/refresh-segments.ts")).cron,
  };
  const open = (): Pool =>
    throughGate(
      openPool(
        database.workerUrl,
        "worker",
        { maxConnections: 16 },
        async (connection) => {
          await ensureEpoch(connection);
        },
        () => log,
      ),
      gate,
    );
  let own = open();
  const options = { pool: () => own, log };
  return {
    name: "b",
    ingest: kafkaHandler(
      async (batch, context) => ({
        ...(await ingestPartition(context.pool, batch, {
          horizonDays: HORIZON_DAYS,
          givingUp: context.givingUp,
        })),
      }),
      options,
    ),
    fillGaps: cronHandler(crons.fillGaps, options),
    finishWindows: cronHandler(crons.finishWindows, options),
    watchProgress: cronHandler(crons.watchProgress, options),
    followers: {
      "finish-sessions": cronHandler(crons.finishSessions, options),
      "find-joins": cronHandler(crons.findJoins, options),
      "refresh-segments": cronHandler(crons.refreshSegments, options),
    },
    pool: options.pool,
    async restart() {
      const before = own;
      own = open();
      await before.end();
    },
  };
}

/** Says nothing and keeps the errors: the end of a history judges them. */
function keepingLogger(errors: unknown[]): Logger {
  const keep = (_message: string, fields: LogFields = {}): void => {
    if (fields.error !== undefined) errors.push(fields.error);
  };
  const log: Logger = { debug() {}, info() {}, warn: keep, error: keep, with: () => log };
  return log;
}
