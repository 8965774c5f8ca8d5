/** Records on their way in and out, and where they are. */

export interface OutgoingRecord {
  readonly topic: string;
  /** Chosen from the key where absent; records without a key take turns, call by call. */
  readonly partition?: number;
  readonly key?: Buffer | string | null;
  /** null is a tombstone, "" an empty value. */
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RecordPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export type TimestampType = "CREATE_TIME" | "LOG_APPEND_TIME";

export interface RecordHeader {
  readonly key: string;
  /** A header whose value is null is read as an empty one. */
  readonly value: Buffer;
}

/**
 * A stored record. Its bytes are views of the answer they arrived in: a record that is kept keeps
 * that answer (up to a fetch's `maxBytes`) in memory; copy what is to live long.
 */
export interface KafkaRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMillis: number;
  readonly timestampType: TimestampType;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
}
