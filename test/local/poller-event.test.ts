import type { KafkaRecord } from "@headrace/kafka";
import { Producer as OtherProducer } from "@platformatic/kafka";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import {
  envelopeBytes,
  eventOf,
  partitionBytes,
  recordBytes,
} from "../../packages/local/src/poller/event.ts";
import { eventually } from "../kafka/clients.ts";
import { pollerHarness } from "./poller-harness.ts";

const { config, producer, newTopic, start } = await pollerHarness();

test("the event is Lambda's for self-managed Kafka, field by field", async () => {
  const topic = await newTopic(2, { "message.timestamp.type": "CreateTime" });
  const other = new OtherProducer({ clientId: "test", bootstrapBrokers: [...config.brokers] });
  onTestFinished(() => other.close());
  const time = Date.now() - 5_000;
  await other.send({
    messages: [
      {
        topic,
        partition: 1,
        key: Buffer.from("key"),
        value: Buffer.from('{"a":"é"}'),
        headers: new Map([
          [Buffer.from("plain"), Buffer.from("abc")],
          [Buffer.from("é"), Buffer.from("é")],
        ]),
        timestamp: BigInt(time),
      },
    ],
  });
  const { events } = start({ topic });
  await eventually(() => events).toHaveLength(1);
  expect(events[0]).toEqual({
    eventSource: "SelfManagedKafka",
    bootstrapServers: config.brokers.join(","),
    records: {
      [`${topic}-1`]: [
        {
          topic,
          partition: 1,
          offset: 0,
          timestamp: time,
          timestampType: "CREATE_TIME",
          key: "a2V5",
          value: Buffer.from('{"a":"é"}').toString("base64"),
          headers: [{ plain: [97, 98, 99] }, { é: [-61, -87] }],
        },
      ],
    },
  });
  // What Lambda would hand over after its detour over JSON is the same.
  expect(JSON.parse(JSON.stringify(events[0]))).toEqual(events[0]);
});

test("a tombstone's value is null, an empty value is empty, a missing key is null", async () => {
  const topic = await newTopic(1, { "message.timestamp.type": "LogAppendTime" });
  await producer.send([
    { topic, key: "k", value: null },
    { topic, key: null, value: "" },
    { topic, key: "", value: "x" },
  ]);
  const { events } = start({ topic });
  await eventually(() => events.flatMap((event) => event.records[`${topic}-0`] ?? [])).toHaveLength(
    3,
  );
  const records = events.flatMap((event) => event.records[`${topic}-0`] ?? []);
  expect(records.map(({ key, value, headers }) => [key, value, headers])).toEqual([
    ["aw==", null, []],
    [null, "", []],
    ["", "eA==", []],
  ]);
  expect(records[0]?.timestampType).toBe("LOG_APPEND_TIME");
});

test("an event's size is known without making it, never under and hardly over", () => {
  const bytes = fc.oneof(
    fc.constant(null),
    fc.uint8Array({ maxLength: 50 }).map((some) => Buffer.from(some)),
  );
  const record: fc.Arbitrary<KafkaRecord> = fc.record({
    topic: fc.constant("some.topic-1"),
    partition: fc.nat(2_000),
    offset: fc.maxSafeNat(),
    timestampMillis: fc.oneof(fc.constant(-1), fc.nat(), fc.constant(1_790_000_000_000)),
    timestampType: fc.constantFrom("CREATE_TIME" as const, "LOG_APPEND_TIME" as const),
    key: bytes,
    value: bytes,
    headers: fc.array(
      fc.record({
        key: fc.string({ unit: "binary", maxLength: 6 }),
        value: fc.uint8Array({ maxLength: 9 }).map((some) => Buffer.from(some)),
      }),
      { maxLength: 3 },
    ),
  });
  const brokers = ["127.0.0.1:9092", "127.0.0.1:9093"];
  fc.assert(
    fc.property(fc.array(record, { maxLength: 6 }), (records) => {
      const partitions = [...Map.groupBy(records, ({ partition }) => partition)];
      const actual = Buffer.byteLength(
        JSON.stringify(
          eventOf(
            brokers,
            partitions.map(([, some]) => some),
          ),
        ),
      );
      let known = envelopeBytes(brokers);
      for (const [partition, some] of partitions) {
        known += partitionBytes("some.topic-1", partition);
        for (const one of some) known += recordBytes(one);
      }
      expect(known).toBeGreaterThanOrEqual(actual);
      // A comma too many for each list.
      const headers = records.filter((one) => one.headers.length > 0).length;
      expect(known - actual).toBeLessThanOrEqual(1 + partitions.length + headers);
    }),
    { numRuns: 150 },
  );
});
