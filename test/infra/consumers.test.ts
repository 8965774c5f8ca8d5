/** How Kafka starts functions: every knob of a mapping, and what bounds the invocations at once. */
import { describe, expect, test } from "vitest";
import { functionsOf } from "../../functions/manifest.ts";
import { EVALUATION_MS, evaluate } from "./evaluate.ts";
import { settingsFor } from "./settings.ts";
import type { MadeResource, Stage } from "./stage.ts";

const [ingest] = functionsOf("kafka");
if (ingest === undefined) throw new Error("the manifest has no Kafka function");
const { trigger } = ingest;

const mappingOf = (stage: Stage): MadeResource["inputs"] =>
  stage.the("aws:lambda/eventSourceMapping:EventSourceMapping").inputs;
const ingestOf = (stage: Stage): MadeResource["inputs"] =>
  stage.the("aws:lambda/function:Function", "KafkaIngestEventsFunction").inputs;

const common = {
  functionName: expect.stringMatching(/^headrace-test-KafkaIngestEventsFunction-/),
  topics: [trigger.topic],
  startingPosition: "TRIM_HORIZON",
  batchSize: trigger.batchSize,
};
const controls = {
  functionResponseTypes: ["ReportBatchItemFailures"],
  maximumRetryAttempts: trigger.maximumRetryAttempts,
  maximumRecordAgeInSeconds: trigger.maximumRecordAgeSeconds,
  bisectBatchOnFunctionError: trigger.bisectBatchOnFunctionError,
  destinationConfig: { onFailure: { destinationArn: `kafka://${trigger.onFailureTopic}` } },
};
const metrics = { metricsConfig: { metrics: ["EventCount"] } };
const group = { consumerGroupId: "headrace-test-kafka-ingest-events" };

describe("a mapping", () => {
  test(
    "has no batching window where the manifest says 0, which would not reach Lambda",
    async () => {
      const stage = await evaluate({ settings: settingsFor("standard") });
      expect(trigger.batchingWindowSeconds).toBe(0);
      expect(mappingOf(stage)).not.toHaveProperty("maximumBatchingWindowInSeconds");
    },
    EVALUATION_MS,
  );

  test(
    "of MSK has every control, pollers within bounds, and a group of its own",
    async () => {
      const stage = await evaluate({ settings: settingsFor("standard") });
      const cluster = stage.the("aws:msk/serverlessCluster:ServerlessCluster");
      expect(mappingOf(stage)).toEqual({
        ...common,
        ...controls,
        ...metrics,
        eventSourceArn: expect.stringMatching(/^arn:aws:kafka:.*:cluster\//),
        amazonManagedKafkaEventSourceConfig: group,
        provisionedPollerConfig: { minimumPollers: 1, maximumPollers: 2 },
      });
      expect(cluster.inputs.clusterName).toBe("headrace-test");
      expect(stage.environmentOf("KafkaIngestEvents").KAFKA_FAILURES).toBe("report");
      expect(ingestOf(stage).reservedConcurrentExecutions).toBe(6);
    },
    EVALUATION_MS,
  );

  test(
    "of brokers that exist already signs in by a secret, with the same controls",
    async () => {
      const { kafka } = settingsFor("starter");
      const stage = await evaluate({ settings: settingsFor("standard", { kafka }) });
      expect(mappingOf(stage)).toEqual({
        ...common,
        ...controls,
        ...metrics,
        selfManagedEventSource: {
          endpoints: { KAFKA_BOOTSTRAP_SERVERS: "kafka-1.shop.test:9096,kafka-2.shop.test:9096" },
        },
        selfManagedKafkaEventSourceConfig: group,
        sourceAccessConfigurations: [
          { type: "SASL_SCRAM_512_AUTH", uri: expect.stringContaining("KafkaLogin") },
        ],
        provisionedPollerConfig: { minimumPollers: 1, maximumPollers: 2 },
      });
      const secret = stage.the(
        "aws:secretsmanager/secretVersion:SecretVersion",
        "KafkaLoginVersion",
      );
      expect(JSON.parse(secret.inputs.secretString)).toEqual({
        username: "headrace",
        password: "broker-password",
      });
    },
    EVALUATION_MS,
  );

  test(
    "of starter has no pollers and nothing that only they bring, and its function throws",
    async () => {
      const stage = await evaluate({ settings: settingsFor("starter") });
      expect(mappingOf(stage)).toEqual({
        ...common,
        selfManagedEventSource: {
          endpoints: { KAFKA_BOOTSTRAP_SERVERS: "kafka-1.shop.test:9096,kafka-2.shop.test:9096" },
        },
        selfManagedKafkaEventSourceConfig: group,
        sourceAccessConfigurations: [
          { type: "SASL_SCRAM_512_AUTH", uri: expect.stringContaining("KafkaLogin") },
        ],
      });
      expect(stage.environmentOf("KafkaIngestEvents").KAFKA_FAILURES).toBe("throw");
      expect(ingestOf(stage).reservedConcurrentExecutions).toBe(undefined);
    },
    EVALUATION_MS,
  );
});
