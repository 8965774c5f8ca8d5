/**
 * What an audit compares and finds. Each `audit<Result>` recomputes its result from raw events by
 * plain SQL that shares no code with what keeps it, in the caller's snapshot, and compares both ways.
 */

/** [from, to) of event time, whole hours; µs. */
export interface AuditRange {
  readonly fromMicros: number;
  readonly toMicros: number;
}

export interface Difference {
  /** The result: `sessions`, `windows 1h`, … */
  readonly what: string;
  /** Which row of it. */
  readonly key: string;
  /** What raw events say; null where there should be no row. */
  readonly expected: unknown;
  /** What is kept; null where there is no row. */
  readonly actual: unknown;
}

export interface Audited {
  readonly what: string;
  /** Rows compared. */
  readonly rows: number;
  /** At most as many as the audit was told to list; none where all is well. */
  readonly differences: readonly Difference[];
}
