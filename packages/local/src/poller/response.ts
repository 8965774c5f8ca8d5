/**
 * What a function's answer says of the batch it was sent (`ReportBatchItemFailures`).
 *
 * Nothing, null, {} and an empty list mean that all is done. A list names what failed. Anything else
 * (another type, a list of something else, a record that was not sent) asks for the whole batch again.
 */
import type { KafkaRecord } from "@headrace/kafka";
import { partitionKey } from "./event.ts";

export type Verdict =
  | { readonly kind: "done" }
  | { readonly kind: "all"; readonly reason: string }
  /** By partition key, the offsets to send again. */
  | { readonly kind: "some"; readonly failed: ReadonlyMap<string, ReadonlySet<number>> };

export function judge(answer: unknown, sent: Iterable<readonly KafkaRecord[]>): Verdict {
  if (answer === undefined || answer === null) return { kind: "done" };
  if (typeof answer !== "object" || Array.isArray(answer))
    return all(`the function answered with ${Array.isArray(answer) ? "a list" : typeof answer}`);
  if (!("batchItemFailures" in answer)) {
    if (Object.keys(answer).length === 0) return { kind: "done" };
    return all("the function's answer has no batchItemFailures");
  }
  const list: unknown = answer.batchItemFailures;
  if (list === undefined || list === null) return { kind: "done" };
  if (!Array.isArray(list)) return all("batchItemFailures is no list");
  return list.length === 0 ? { kind: "done" } : named(list, sent);
}

function named(list: readonly unknown[], sent: Iterable<readonly KafkaRecord[]>): Verdict {
  const known = new Map<string, Set<number>>();
  for (const records of sent)
    for (const record of records) {
      const key = partitionKey(record);
      const offsets = known.get(key);
      if (offsets === undefined) known.set(key, new Set([record.offset]));
      else offsets.add(record.offset);
    }
  const failed = new Map<string, Set<number>>();
  for (const item of list) {
    const place = identifierOf(item);
    if (place === undefined || known.get(place.partition)?.has(place.offset) !== true)
      return all(`an itemIdentifier names no record of the batch: ${JSON.stringify(item)}`);
    const offsets = failed.get(place.partition);
    if (offsets === undefined) failed.set(place.partition, new Set([place.offset]));
    else offsets.add(place.offset);
  }
  return { kind: "some", failed };
}

function identifierOf(item: unknown): { partition: string; offset: number } | undefined {
  const identifier = field(item, "itemIdentifier");
  const partition = field(identifier, "partition");
  const offset = field(identifier, "offset");
  if (typeof partition !== "string" || typeof offset !== "number") return undefined;
  return { partition, offset };
}

function field(of: unknown, name: string): unknown {
  return typeof of === "object" && of !== null ? Reflect.get(of, name) : undefined;
}

function all(reason: string): Verdict {
  return { kind: "all", reason };
}
