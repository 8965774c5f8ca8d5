import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FailedRecord } from "@headrace/local";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../kafka/clients.ts";
import {
  type Answer,
  failure,
  failuresOf,
  pollerHarness,
  recordsOf,
  textOf,
} from "./poller-harness.ts";

const { admin, producer, newTopic, send, readAll, committed, start } = await pollerHarness();
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${from + i}`);

test("only the records that an answer names come again, and what is later waits for them", async () => {
  const topic = await newTopic();
  await send(topic, numbers(0, 10));
  const { batches, group } = start({
    topic,
    batchSize: 5,
    answer: (event, call) => (call < 3 ? failuresOf(event, (value) => "13".includes(value)) : null),
  });
  await eventually(() => batches()).toEqual([
    ["0", "1", "2", "3", "4"],
    ["1", "3"],
    ["1", "3"],
    ["5", "6", "7", "8", "9"],
  ]);
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 10]]));
});

test("while records of a partition come again, other partitions go on and the commit stays behind", async () => {
  const topic = await newTopic(2);
  await send(topic, ["bad", "waits"], 0);
  await send(topic, numbers(0, 3), 1);
  let healed = false;
  const { values, group } = start({
    topic,
    batchSize: 2,
    answer: (event) => failuresOf(event, (value) => value === "bad" && !healed),
  });
  await eventually(() => values().filter((value) => value === "bad").length).toBeGreaterThan(2);
  await send(topic, numbers(3, 6), 1);
  await eventually(() => values()).toEqual(expect.arrayContaining(numbers(0, 6)));
  await eventually(() => committed(group, topic)).toEqual(
    new Map([
      [0, 0],
      [1, 6],
    ]),
  );
  healed = true;
  await eventually(() => committed(group, topic)).toEqual(
    new Map([
      [0, 2],
      [1, 6],
    ]),
  );
});

test.each<[string, Answer]>([
  [
    "names no record of the batch",
    ({ records }) => ({
      batchItemFailures: [{ itemIdentifier: { partition: Object.keys(records)[0], offset: 99 } }],
    }),
  ],
  [
    "names an unknown partition",
    () => ({ batchItemFailures: [{ itemIdentifier: { partition: "x-0", offset: 0 } }] }),
  ],
  [
    "has texts for identifiers",
    ({ records }) => ({ batchItemFailures: [{ itemIdentifier: `${Object.keys(records)[0]}-0` }] }),
  ],
  [
    "has an offset that is a text",
    ({ records }) => ({
      batchItemFailures: [{ itemIdentifier: { partition: Object.keys(records)[0], offset: "0" } }],
    }),
  ],
  [
    "mixes a right name with a wrong one",
    (event) => ({ batchItemFailures: [failure(recordsOf(event)[1] ?? never()), {}] }),
  ],
  ["holds no list", () => ({ batchItemFailures: "all" })],
  ["has another field", () => ({ batchItemFailure: [] })],
  ["is a text", () => "done"],
  [
    "is an error that was thrown",
    () => {
      throw new Error("no");
    },
  ],
  ["is a rejection", () => Promise.reject(new Error("no"))],
])("an answer that %s brings the whole batch again", async (_name, answer) => {
  const topic = await newTopic();
  await send(topic, ["a", "b", "c"]);
  const { batches } = start({
    topic,
    batchSize: 3,
    batchingWindowSeconds: 30,
    answer: (event, call) => (call === 1 ? answer(event, call) : undefined),
  });
  await eventually(() => batches()).toEqual([
    ["a", "b", "c"],
    ["a", "b", "c"],
  ]);
});

test.each([[undefined], [null], [{}], [{ batchItemFailures: [] }], [{ batchItemFailures: null }]])(
  "the answer %j means that all is done",
  async (answered) => {
    const topic = await newTopic();
    await send(topic, ["a"]);
    const { batches, group } = start({ topic, answer: () => answered });
    await eventually(() => committed(group, topic)).toEqual(new Map([[0, 1]]));
    expect(batches()).toEqual([["a"]]);
  },
);

test("a function that runs out of time has failed", async () => {
  const topic = await newTopic();
  await send(topic, ["a"]);
  const { batches, log } = start({
    topic,
    timeoutSeconds: 0.05,
    answer: (_event, call) => (call === 1 ? new Promise(() => undefined) : undefined),
  });
  await eventually(() => batches()).toEqual([["a"], ["a"]]);
  expect(JSON.stringify(log)).toContain("Task timed out after 0.05 seconds");
});

test("after the retries, records are set aside in a topic with their key, and the rest goes on", async () => {
  const topic = await newTopic();
  const onFailureTopic = await newTopic();
  await producer.send([
    { topic, key: "good", value: "a" },
    { topic, key: "poison", value: "b", headers: { trace: "é" } },
    { topic, key: "good", value: "c" },
  ]);
  const { batches, group } = start({
    topic,
    batchSize: 2,
    maximumRetryAttempts: 2,
    onFailureTopic,
    answer: (event) => failuresOf(event, (value) => value === "b"),
  });
  await eventually(() => batches()).toEqual([["a", "b"], ["b"], ["b"], ["c"]]);
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 3]]));
  const [stored, ...others] = await readAll(onFailureTopic);
  expect(others).toEqual([]);
  expect(`${stored?.key}`).toBe("poison");
  const failed = JSON.parse(`${stored?.value}`) as FailedRecord;
  expect(failed).toEqual({
    requestContext: {
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      functionArn: "arn:aws:lambda:local:000000000000:function:a-function",
      condition: "RetryAttemptsExhausted",
      approximateInvokeCount: 3,
    },
    responseContext: { statusCode: 200, executedVersion: "$LATEST", functionError: null },
    version: "1.0",
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    KafkaBatchInfo: {
      batchSize: 1,
      bootstrapServers: expect.any(String),
      payloadSize: expect.any(Number),
      recordInfo: { offset: 1, timestamp: expect.any(Number) },
    },
    payload: {
      eventSource: "SelfManagedKafka",
      bootstrapServers: expect.any(String),
      records: {
        [`${topic}-0`]: [
          expect.objectContaining({ offset: 1, value: "Yg==", headers: [{ trace: [-61, -87] }] }),
        ],
      },
    },
  });
});

test("a destination may be a file of JSON lines", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-poller-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const onFailureFile = join(folder, "made", "failed.ndjson");
  const topic = await newTopic();
  await send(topic, ["a", "b", "c"]);
  const { batches, group } = start({
    topic,
    batchSize: 3,
    batchingWindowSeconds: 30,
    maximumRetryAttempts: 0,
    onFailureFile,
    answer: () => Promise.reject(new Error("never")),
  });
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 3]]));
  expect(batches()).toHaveLength(1);
  const lines = (await readFile(onFailureFile, "utf8")).trimEnd().split("\n");
  const failed = lines.map((line) => JSON.parse(line) as FailedRecord);
  expect(failed.map((one) => one.KafkaBatchInfo.recordInfo.offset)).toEqual([0, 1, 2]);
  expect(failed[0]?.responseContext?.functionError).toBe("Unhandled");
});

test("without a destination, records that are given up are dropped and the log names them", async () => {
  const topic = await newTopic();
  await send(topic, ["a", "b"]);
  const { batches, log } = start({
    topic,
    batchSize: 1,
    maximumRetryAttempts: 1,
    answer: (event) => failuresOf(event, (value) => value === "a"),
  });
  await eventually(() => batches()).toEqual([["a"], ["a"], ["b"]]);
  expect(log).toContainEqual(
    expect.objectContaining({
      level: "error",
      message: "records are dropped",
      condition: "RetryAttemptsExhausted",
      places: [`${topic}-0@0`],
    }),
  );
});

test("endless retries become ten where there is a destination", async () => {
  const topic = await newTopic();
  const onFailureTopic = await newTopic();
  await send(topic, ["a"]);
  const { batches } = start({
    topic,
    maximumRetryAttempts: -1,
    onFailureTopic,
    answer: () => Promise.reject(new Error("never")),
  });
  await eventually(() => readAll(onFailureTopic)).toHaveLength(1);
  expect(batches()).toHaveLength(11);
});

test("a destination that cannot be written holds its partition back, not the others", async () => {
  const topic = await newTopic(2);
  const onFailureTopic = `${topic}.failed`;
  await send(topic, ["bad", "after"], 0);
  const { values, log } = start({
    topic,
    batchSize: 1,
    maximumRetryAttempts: 0,
    onFailureTopic,
    answer: (event) => failuresOf(event, (value) => value === "bad"),
  });
  await eventually(() => log.map(({ message }) => message)).toContain(
    "records that were given up cannot be stored; tried again",
  );
  await send(topic, ["other"], 1);
  await eventually(() => values()).toContain("other");
  expect(values()).not.toContain("after");
  await admin.ensureTopic(onFailureTopic, { partitions: 1 });
  await eventually(() => values()).toContain("after");
  expect(await readAll(onFailureTopic)).toHaveLength(1);
});

test("bisection finds the one record that fails, whatever the retries", async () => {
  const topic = await newTopic(2);
  const onFailureTopic = await newTopic();
  await send(topic, numbers(0, 40), 0);
  await send(topic, numbers(40, 80), 1);
  const done: string[] = [];
  const { batches, group } = start({
    topic,
    batchSize: 80,
    batchingWindowSeconds: 1,
    maximumRetryAttempts: 1,
    bisectBatchOnFunctionError: true,
    onFailureTopic,
    answer: (event) => {
      const values = recordsOf(event).map((record) => textOf(record) ?? "");
      if (values.includes("57")) throw new Error("poison");
      done.push(...values);
    },
  });
  await eventually(() => committed(group, topic)).toEqual(
    new Map([
      [0, 40],
      [1, 40],
    ]),
  );
  expect(done.map(Number).sort((a, b) => a - b)).toEqual(
    numbers(0, 80)
      .map(Number)
      .filter((value) => value !== 57),
  );
  // In order within each partition.
  expect(done.filter((value) => Number(value) >= 40)).toEqual(
    numbers(40, 80).filter((value) => value !== "57"),
  );
  expect(batches().filter((batch) => batch.length === 1 && batch[0] === "57")).toHaveLength(2);
  expect((await readAll(onFailureTopic)).map(({ value }) => JSON.parse(`${value}`))).toMatchObject([
    {
      requestContext: { approximateInvokeCount: 2 },
      payload: { records: { [`${topic}-1`]: [{ offset: 17 }] } },
    },
  ]);
});

test("records older than the limit are set aside, before the first attempt and between retries", async () => {
  const topic = await newTopic();
  const onFailureTopic = await newTopic();
  let ahead = 120_000;
  const clock = { now: () => Date.now() + ahead };
  await send(topic, ["old"]);
  const { values, group } = start({
    topic,
    batchSize: 1,
    maximumRetryAttempts: 100,
    maximumRecordAgeSeconds: 60,
    onFailureTopic,
    clock,
    answer: (event) => failuresOf(event, (value) => value === "failing"),
  });
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 1]]));
  expect(values()).toEqual([]);
  ahead = 0;
  await send(topic, ["failing", "good"]);
  await eventually(() => values().length).toBeGreaterThan(2);
  expect(values()).not.toContain("good");
  ahead = 61_000;
  // "good" is too old by now as well.
  await eventually(() => committed(group, topic)).toEqual(new Map([[0, 3]]));
  ahead = 0;
  await send(topic, ["young"]);
  await eventually(() => values().at(-1)).toBe("young");
  const failed = (await readAll(onFailureTopic)).map(
    ({ value }) => JSON.parse(`${value}`) as FailedRecord,
  );
  expect(failed.map((one) => one.requestContext.condition)).toEqual([
    "RecordAgeExceeded",
    "RecordAgeExceeded",
    "RecordAgeExceeded",
  ]);
  expect(failed.map((one) => one.requestContext.approximateInvokeCount > 0)).toEqual([
    false,
    true,
    false,
  ]);
});

test("a record too large for any event is set aside and its neighbours are sent", async () => {
  const topic = await newTopic(1, { "max.message.bytes": "8000000" });
  const onFailureTopic = await newTopic(1, { "max.message.bytes": "8000000" });
  const large = "x".repeat(5_000_000);
  for (const value of ["before", large, "after"]) await send(topic, [value]);
  const { values } = start({ topic, maximumRetryAttempts: 0, onFailureTopic });
  await eventually(() => values()).toEqual(["before", "after"]);
  const failed = (await readAll(onFailureTopic)).map(
    ({ value }) => JSON.parse(`${value}`) as FailedRecord,
  );
  expect(failed).toMatchObject([
    { requestContext: { condition: "MaximumPayloadSizeExceeded", requestId: null } },
  ]);
  const payload = failed[0]?.payload?.records[`${topic}-0`] ?? [];
  expect(payload.map(textOf)).toEqual([large]);
});

test("what is too large for the destination as well is stored there without its payload", async () => {
  const topic = await newTopic(1, { "max.message.bytes": "8000000" });
  const onFailureTopic = await newTopic(1, { "max.message.bytes": "1000000" });
  for (const value of ["x".repeat(5_000_000), "after"]) await send(topic, [value]);
  const { values } = start({ topic, maximumRetryAttempts: 0, onFailureTopic });
  await eventually(() => values()).toEqual(["after"]);
  expect((await readAll(onFailureTopic)).map(({ value }) => JSON.parse(`${value}`))).toMatchObject([
    { payload: null, KafkaBatchInfo: { recordInfo: { offset: 0 } } },
  ]);
});

function never(): never {
  throw new Error("there is no such record");
}
