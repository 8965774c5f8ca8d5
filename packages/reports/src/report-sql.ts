/** What a report reads through: one statement is one snapshot, and several can share one. */
import type { Sql } from "@headrace/db";

export interface ReportSql extends Sql {
  /** Runs `work` in one repeatable-read transaction: all its statements see the same moment. */
  snapshot<Result>(work: (moment: Sql) => Promise<Result>): Promise<Result>;
}
