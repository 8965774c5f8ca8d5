export { InstantText, instantOf, Money } from "./answer.ts";
export * from "./dead-letters.ts";
export * from "./health.ts";
export * from "./kpi.ts";
export * from "./progress.ts";
export type { ReportSql } from "./report-sql.ts";
export * from "./windows.ts";
