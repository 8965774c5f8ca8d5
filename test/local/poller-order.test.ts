import type { KafkaTriggerEvent } from "@headrace/local";
import fc from "fast-check";
import { expect, test } from "vitest";
import { eventually } from "../kafka/clients.ts";
import { failure, pollerHarness, recordsOf } from "./poller-harness.ts";

const { newTopic, send, committed, start } = await pollerHarness();

const PARTITIONS = 3;
const RECORDS = 40;

/** What an invocation answers: all done, thrown, unusable, or some failed. */
const outcome = fc.oneof(
  { weight: 2, arbitrary: fc.constant("done" as const) },
  { weight: 4, arbitrary: fc.constantFrom("thrown" as const, "unusable" as const) },
  { weight: 3, arbitrary: fc.nat({ max: 0xffff }) },
);

test("whatever fails, no record is sent before an earlier one of its partition is done", {
  timeout: 90_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        batchSize: fc.integer({ min: 1, max: 50 }),
        concurrency: fc.integer({ min: 1, max: 3 }),
        bisectBatchOnFunctionError: fc.boolean(),
        outcomes: fc.array(outcome, { minLength: 15, maxLength: 40 }),
      }),
      async ({ outcomes, ...trigger }) => {
        const topic = await newTopic(PARTITIONS);
        for (let partition = 0; partition < PARTITIONS; partition++)
          await send(topic, Array(RECORDS).fill("x"), partition);
        const watch = watcher(topic);
        const answer = async (event: KafkaTriggerEvent, call: number) => {
          watch.begin(event);
          await new Promise(setImmediate);
          return watch.end(event, outcomes[call - 1] ?? "done");
        };
        const { group, poller } = start({ topic, ...trigger, answer });
        const all = Array.from({ length: PARTITIONS }, (_, i) => [i, RECORDS] as const);
        await eventually(() => committed(group, topic), 30_000).toEqual(new Map(all));
        await poller.stop();
        expect(watch.faults).toEqual([]);
        expect(watch.doneCount()).toBe(PARTITIONS * RECORDS);
      },
    ),
    { numRuns: 12 },
  );
});

/** Holds each invocation against the rules as it begins, and keeps what it finished. */
function watcher(topic: string) {
  const done = new Map<string, Set<number>>();
  const held = new Set<string>();
  const faults: string[] = [];
  const doneOf = (key: string) => {
    const offsets = done.get(key) ?? new Set<number>();
    done.set(key, offsets);
    return offsets;
  };
  return {
    faults,
    doneCount: () => [...done.values()].reduce((sum, offsets) => sum + offsets.size, 0),

    begin(event: KafkaTriggerEvent) {
      for (const [key, records] of Object.entries(event.records)) {
        if (held.has(key)) faults.push(`${key} is in two invocations at once`);
        held.add(key);
        const sent = new Set(records.map(({ offset }) => offset));
        const last = Math.max(...sent);
        for (let offset = 0; offset < last; offset++)
          if (!sent.has(offset) && !doneOf(key).has(offset))
            faults.push(`${key}@${last} was sent before ${offset} was done`);
        for (const offset of sent)
          if (doneOf(key).has(offset)) faults.push(`${key}@${offset} was done and came again`);
        if (records.some(({ offset }, i) => offset <= (records[i - 1]?.offset ?? -1)))
          faults.push(`${key} is out of order`);
      }
    },

    end(event: KafkaTriggerEvent, how: "done" | "thrown" | "unusable" | number) {
      for (const key of Object.keys(event.records)) held.delete(key);
      if (how === "thrown") throw new Error("no");
      if (how === "unusable") return { batchItemFailures: [{ itemIdentifier: `${topic}-0` }] };
      const fails = (offset: number) => how !== "done" && ((how >> (offset % 16)) & 1) === 1;
      const records = recordsOf(event);
      for (const { partition, offset } of records)
        if (!fails(offset)) doneOf(`${topic}-${partition}`).add(offset);
      return { batchItemFailures: records.filter(({ offset }) => fails(offset)).map(failure) };
    },
  };
}
