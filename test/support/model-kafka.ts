/**
 * What functions ask of Kafka by themselves (where logs begin and end, a stretch of one again),
 * answered from logs in memory. Stands in for `@headrace/kafka`, whose own tests hold the real one
 * to the same contract.
 */
import type { Admin, PartitionOffsets, RangePart } from "@headrace/kafka";
import { AppError } from "@headrace/kernel";
import type { LogRecord, PartitionLog } from "./model-log.ts";

let logs: readonly PartitionLog[] = [];

export function serveLogs(served: readonly PartitionLog[]): void {
  logs = served;
}

const logOf = (topic: string, partition: number): PartitionLog | undefined =>
  logs.find((log) => log.topic === topic && log.partition === partition);

export function createAdmin(): Pick<Admin, "offsets" | "close"> {
  return {
    async offsets(topics) {
      return topics.flatMap((topic) => {
        const found = logs.filter((log) => log.topic === topic);
        if (found.length === 0) throw new AppError("not_found", "kafka.topic_unknown", topic);
        return found.map(
          ({ partition, begin, end }): PartitionOffsets => ({ topic, partition, begin, end }),
        );
      });
    },
    async close() {},
  };
}

/** As `readRange` promises: parts of [from, to) in order, together exactly once. */
export async function* readRange(
  _config: unknown,
  topic: string,
  partition: number,
  from: number,
  to: number,
): AsyncGenerator<RangePart, void, undefined> {
  for (let at = from; at < to; ) {
    const part = nextPart(logOf(topic, partition), at, to);
    yield part;
    at = part.to;
  }
}

/** An answer of the broker holds so many records at most: a gap takes several. */
const MOST_RECORDS = 7;

function nextPart(log: PartitionLog | undefined, at: number, to: number): RangePart {
  const none = { from: at, records: [] };
  if (log === undefined) return { ...none, kind: "lost", to };
  if (at < log.begin) return { ...none, kind: "lost", to: Math.min(log.begin, to) };
  if (at >= log.end) return { ...none, kind: "unwritten", to };
  const ahead = log.slice(at, to);
  const run: LogRecord[] = [];
  for (const record of ahead) {
    if (record.offset !== at + run.length || run.length === MOST_RECORDS) break;
    run.push(record);
  }
  if (run.length === 0) {
    return { ...none, kind: "empty", to: ahead[0]?.offset ?? Math.min(log.end, to) };
  }
  for (const record of run) record.attempted = true;
  return { kind: "records", from: at, to: at + run.length, records: run.map(kafkaRecord) };
}

const kafkaRecord = (record: LogRecord): RangePart["records"][number] => ({
  ...record.position,
  timestampType: record.timestampType,
  key: record.key,
  value: record.value,
  headers: record.headers.map(([key, value]) => ({ key, value })),
});
