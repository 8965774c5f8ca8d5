/**
 * Reads one stretch of a partition again, such as a gap, and accounts for every offset in it: what is
 * there, what is gone, and what never held a record.
 */
import { unavailable } from "@headrace/kernel";
import type { KafkaConfig } from "./config.ts";
import { createFetcher, type FetchedPartition, type Fetcher, type FetchLimits } from "./fetcher.ts";
import type { KafkaRecord } from "./record.ts";

/**
 * A part [from, to) of the stretch.
 * - records    each offset holds one of `records`
 * - empty      the log covers it without a record: ends of transactions, aborted or compacted records
 * - lost       before the log's begin: deleted by retention
 * - unwritten  at or past the log's end
 */
export interface RangePart {
  readonly kind: "records" | "empty" | "lost" | "unwritten";
  readonly from: number;
  readonly to: number;
  readonly records: readonly KafkaRecord[];
}

export interface RangeOptions {
  /** Bytes of records in memory at once, about. Default 4 MiB. */
  readonly maxBytes?: number;
  /** The topic's id that the offsets belong to: another topic of that name holds none of them. */
  readonly topicId?: string;
}

const NOTHING: readonly KafkaRecord[] = [];
/** A reader that finds no leader asks so often, 200 ms apart, before it gives up. */
const MAX_TRIES_WITHOUT_LEADER = 50;

/**
 * Yields the parts of [from, to) in order of offset; together they cover it exactly once. Offsets
 * are lost as a whole where the topic was made anew (with `topicId`). Throws as `fetch` does.
 */
export async function* readRange(
  config: KafkaConfig,
  topic: string,
  partition: number,
  from: number,
  to: number,
  options: RangeOptions = {},
): AsyncGenerator<RangePart, void, undefined> {
  const fetcher = createFetcher(config);
  const maxBytes = options.maxBytes ?? 4 * 1024 * 1024;
  try {
    for (let at = from; at < to; ) {
      const position = { topic, partition, offset: at, ...topicIdOf(options) };
      const found = await fetchSteadily(fetcher, position, { maxWaitMillis: 100, maxBytes });
      for (const part of partsOf(found, at, to)) {
        yield part;
        at = part.to;
      }
    }
  } finally {
    await fetcher.close();
  }
}

function topicIdOf(options: RangeOptions): { topicId?: string } {
  return options.topicId === undefined ? {} : { topicId: options.topicId };
}

async function fetchSteadily(
  fetcher: Fetcher,
  position: { topic: string; partition: number; offset: number },
  limits: FetchLimits,
): Promise<FetchedPartition> {
  for (let tries = 0; tries < MAX_TRIES_WITHOUT_LEADER; tries++) {
    const [found] = await fetcher.fetch([position], limits);
    if (found !== undefined && found.state !== "unavailable") return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const place = `${position.topic}-${position.partition}`;
  throw unavailable("kafka.unavailable", `no broker leads ${place}`);
}

/** What one answer says of [at, to), from `at` on without a gap. */
function partsOf(found: FetchedPartition, at: number, to: number): readonly RangePart[] {
  const part = (kind: RangePart["kind"], from: number, until: number, records = NOTHING) => ({
    kind,
    from,
    to: Math.min(until, to),
    records,
  });
  if (found.state === "recreated" || found.state === "topic_unknown") return [part("lost", at, to)];
  if (found.state === "out_of_range")
    return [at < found.begin ? part("lost", at, found.begin) : part("unwritten", at, to)];
  const parts: RangePart[] = [];
  let next = at;
  let run: KafkaRecord[] = [];
  const flush = (): void => {
    const first = run[0];
    if (first !== undefined) parts.push(part("records", first.offset, next, run));
    run = [];
  };
  for (const record of found.records) {
    if (record.offset >= to) break;
    if (record.offset > next) {
      flush();
      parts.push(part("empty", next, record.offset));
    }
    run.push(record);
    next = record.offset + 1;
  }
  flush();
  const known = Math.min(found.nextOffset, to);
  if (known > next) parts.push(part("empty", next, known));
  if (parts.length === 0 && at >= found.end) parts.push(part("unwritten", at, to));
  return parts;
}
