/** A piece of work: the records of one invocation, and how often they were tried. Never changed. */
import type { KafkaRecord } from "@headrace/kafka";
import { partitionKey } from "./event.ts";
import type { PartitionQueue } from "./partition-queue.ts";

export interface UnitPart {
  readonly queue: PartitionQueue;
  readonly epoch: number;
  /** At least one, in the order of offsets. */
  readonly records: readonly KafkaRecord[];
}

/** Why records are given up; Lambda's words, and one of ours for what it has no name for. */
export type Condition =
  | "RetryAttemptsExhausted"
  | "MaximumPayloadSizeExceeded"
  /** AWS documents that such records are sent to the destination, not what it calls this. */
  | "RecordAgeExceeded";

/** How the last invocation with these records ended. */
export interface LastAttempt {
  readonly requestId: string;
  readonly error: unknown;
}

export interface Unit {
  readonly parts: readonly UnitPart[];
  /** Attempts after the first; splitting is none. */
  readonly retries: number;
  /** Not to be sent before this moment (of `performance.now()`). */
  readonly notBefore: number;
  readonly lastAttempt: LastAttempt | undefined;
  /** Set once they are no longer for the function, only for the failure destination. */
  readonly condition: Condition | undefined;
}

export function countOf(unit: Unit): number {
  return unit.parts.reduce((sum, part) => sum + part.records.length, 0);
}

/** The records that `wanted` picks; undefined where it picks none. */
export function keep(unit: Unit, wanted: (record: KafkaRecord) => boolean): Unit | undefined {
  const parts = unit.parts.flatMap((part) => {
    const records = part.records.filter(wanted);
    return records.length === 0 ? [] : [{ ...part, records }];
  });
  return parts.length === 0 ? undefined : { ...unit, parts };
}

/** Those named in an answer, by partition key. */
export function keepNamed(
  unit: Unit,
  named: ReadonlyMap<string, ReadonlySet<number>>,
): Unit | undefined {
  return keep(unit, (record) => named.get(partitionKey(record))?.has(record.offset) === true);
}

/** Two halves, cut in the middle of its records as they stand, partition after partition. */
export function halves(unit: Unit): readonly [Unit, Unit] {
  let left = Math.ceil(countOf(unit) / 2);
  const first: UnitPart[] = [];
  const second: UnitPart[] = [];
  for (const part of unit.parts) {
    const cut = Math.min(left, part.records.length);
    left -= cut;
    if (cut > 0) first.push({ ...part, records: part.records.slice(0, cut) });
    if (cut < part.records.length) second.push({ ...part, records: part.records.slice(cut) });
  }
  return [
    { ...unit, parts: first },
    { ...unit, parts: second },
  ];
}
