/** Time is an argument: whoever needs "now" is handed a clock, so that a test can hand another. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00Z. */
  now(): number;
}
