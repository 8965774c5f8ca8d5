/** What sliding windows read of 200,000 events: a page's own and its edges, by the index of their order. */
import { finishWindows, inTransaction, type Sql } from "@headrace/db";
import {
  instantOf,
  type ReportSql,
  readSlidingRange,
  readSlidingRows,
  readSlidingSteps,
} from "@headrace/reports";
import { expect, test } from "vitest";
import { event, leaseOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl);
const pool = testPool(db.reportsUrl, 1);

const SECOND = 1_000_000;
const EVENTS = 200_000;
/** Apart. 100 events a second, every fourth of another type. */
const STEP = 10_000;
const FROM = Date.parse("2026-01-05T10:00:00Z") * 1000;
const SPENT_PER_SECOND = 75;

// These events are long past what a stage keeps of 10 s windows.
await db.pool.query("update settings set window_10s_retention = null");
for (let at = 0; at < EVENTS; at += 10_000) {
  await takeIn(
    worker,
    Array.from({ length: 10_000 }, (_, n) =>
      event({
        event_time: instantOf(FROM + (at + n) * STEP),
        event_type: n % 4 === 0 ? "viewed" : "spent",
        value: n,
      }),
    ),
  );
}
const lease = await leaseOf(worker, "finish-windows");
while ((await finishWindows(worker, lease, 1000)).folded > 0);

interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly Plans?: readonly PlanNode[];
}

/** Scans of raw events, and how many rows they read. */
interface Scans {
  readonly kinds: Set<string>;
  rows: number;
}

/** Every statement is explained as it is run. */
function watched(): { readonly sql: ReportSql; readonly scans: Scans } {
  const scans: Scans = { kinds: new Set(), rows: 0 };
  const count = (node: PlanNode): void => {
    if (node["Relation Name"]?.startsWith("stream_events")) {
      const removed = node["Rows Removed by Filter"] ?? 0;
      scans.kinds.add(node["Node Type"]);
      scans.rows += (node["Actual Rows"] + removed) * node["Actual Loops"];
    }
    for (const part of node.Plans ?? []) count(part);
  };
  const watching = (client: Sql): Sql => ({
    async query(asked, values) {
      const { text, values: own = values } = typeof asked === "string" ? { text: asked } : asked;
      if (!text.startsWith("set local")) {
        const { rows } = await client.query(`explain (analyze, format json) ${text}`, own);
        for (const { Plan } of rows[0]?.["QUERY PLAN"] ?? []) count(Plan);
      }
      return client.query(asked, values);
    },
  });
  const sql: ReportSql = {
    query: (text, values) => pool.query(text, values),
    snapshot: (work) =>
      inTransaction(pool, "repeatable read", (client) => work(watching(client) as typeof client)),
  };
  return { sql, scans };
}

const LIMIT = 100;
const query = {
  eventType: "spent",
  fromMicros: FROM + 1500 * SECOND,
  toMicros: FROM + 86_400 * SECOND,
  after: undefined,
  limit: LIMIT,
  rawLimit: 300_000,
};

test.each([10, 10_000])("a page with frames of %i rows reads just these", async (rows) => {
  const { sql, scans } = watched();
  const { points } = await readSlidingRows(sql, query, rows);
  expect(points.length).toBe(LIMIT);
  expect([...scans.kinds]).toEqual(["Index Scan"]);
  expect(scans.rows).toBe(LIMIT + 1 + rows - 1);
});

test.each([1, 60, 1200])(
  "a page with frames of %i seconds reads its edges, however long",
  async (seconds) => {
    const { sql, scans } = watched();
    const { points } = await readSlidingRange(sql, query, seconds * SECOND);
    expect(points.length).toBe(LIMIT);
    expect([...scans.kinds]).toEqual(["Index Scan"]);
    const pageSeconds = LIMIT / SPENT_PER_SECOND;
    const edges = 2 * (pageSeconds + 10) * SPENT_PER_SECOND;
    expect(scans.rows).toBeLessThan(LIMIT + 1 + edges);
  },
);

test("a page of steps reads windows alone", async () => {
  const { sql, scans } = watched();
  const { points } = await readSlidingSteps(sql, query, 300 * SECOND, 10 * SECOND);
  expect(points.length).toBe(LIMIT);
  expect(points.at(-100)?.moving_sum).not.toBe(null);
  expect(scans.rows).toBe(0);
});
