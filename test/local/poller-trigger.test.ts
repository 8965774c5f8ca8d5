import { silentLogger } from "@headrace/kernel";
import { type KafkaTriggerOptions, startKafkaPoller } from "@headrace/local";
import { expect, test } from "vitest";
import { triggerSettings } from "../../packages/local/src/poller/trigger.ts";

test.each<[keyof KafkaTriggerOptions, Partial<KafkaTriggerOptions>]>([
  ["batchSize", { batchSize: 0 }],
  ["batchSize", { batchSize: 10_001 }],
  ["batchSize", { batchSize: 1.5 }],
  ["concurrency", { concurrency: 0 }],
  ["batchingWindowSeconds", { batchingWindowSeconds: 0.5 }],
  ["batchingWindowSeconds", { batchingWindowSeconds: 301 }],
  ["maximumRetryAttempts", { maximumRetryAttempts: -2 }],
  ["maximumRecordAgeSeconds", { maximumRecordAgeSeconds: 59 }],
  ["maximumRecordAgeSeconds", { maximumRecordAgeSeconds: Number.NaN }],
  ["onFailureTopic", { onFailureTopic: "t" }],
  ["onFailureFile", { onFailureTopic: "u", onFailureFile: "f" }],
])("%s is refused as Lambda would: %j", (field, options) => {
  const start = () =>
    startKafkaPoller({
      kafka: { brokers: ["127.0.0.1:9"] },
      trigger: { topic: "t", ...options },
      function: { name: "f", handler: () => null, timeoutSeconds: 1, memoryMegabytes: 128 },
      group: "g",
      logger: silentLogger,
      clock: { now: () => 0 },
    });
  expect(start).toThrow(expect.objectContaining({ kind: "invalid", code: `trigger.${field}` }));
});

test("what is not said is as with Lambda", () => {
  expect(triggerSettings({ topic: "t" })).toEqual({
    topic: "t",
    batchSize: 100,
    batchingWindowMillis: 500,
    concurrency: 1,
    maximumRetryAttempts: Number.POSITIVE_INFINITY,
    maximumRecordAgeMillis: Number.POSITIVE_INFINITY,
    bisect: false,
    onFailureTopic: undefined,
    onFailureFile: undefined,
  });
});
