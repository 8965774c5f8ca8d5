/** A figure that is watched, and what has to be said of it. */

/** Titles of the dashboard's panels, in its order; the figures of one share a unit. */
export const PANELS = [
  "Freshness (seconds)",
  "Not taken in yet",
  "Throughput",
  "Set aside and lost",
  "Failures",
  "Errors of functions",
  "HTTP",
  "HTTP response time (ms)",
  "Database load (%)",
  "Database connections",
  "Database memory and storage (bytes)",
  "Kafka's disks (%)",
] as const;
export type Panel = (typeof PANELS)[number];

export interface Figure {
  /** Also the alarm's; unique in its stage. */
  readonly name: string;
  /** Left out: its alarm says enough, and a dashboard of more than 50 figures is paid for. */
  readonly panel?: Panel;
  readonly metric: Metric;
  readonly statistic: "Average" | "Maximum" | "Minimum" | "SampleCount" | "Sum" | "p50" | "p99";
  readonly periodSeconds: number;
  readonly limit?: Limit;
}

export interface Metric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, $util.Input<string>>>;
}

export interface Limit {
  readonly is: "at least" | "below";
  readonly threshold: number;
  /** So many periods in a row, before anybody is told. */
  readonly periods: number;
  readonly missing: Missing;
  /** What has happened and where to look: the text of the mail. */
  readonly why: string;
}

/** What an alarm makes of a period without a value. */
export const MISSING = {
  /** The figure counts something that did not happen. */
  none: "notBreaching",
  /** Whoever measures is silent, and its last word stands: the silence has an alarm of its own. */
  silent: "ignore",
  /** The silence is what the alarm is about. */
  fault: "breaching",
} as const;
export type Missing = (typeof MISSING)[keyof typeof MISSING];

export const MINUTE = 60;
export const FIVE_MINUTES = 5 * MINUTE;

export type Alarmed = Figure & { readonly limit: Limit };

export const hasLimit = (figure: Figure): figure is Alarmed => figure.limit !== undefined;
