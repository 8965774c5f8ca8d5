/**
 * Kafka's functions, each with the mapping that starts it.
 *
 * Lambda offers partial failure reports, a retry limit and a topic for what was given up only with
 * provisioned pollers, which are paid for while idle. A stage without them gets none of these: its
 * functions throw instead, and find out for themselves what can never be taken in.
 */
import type { FunctionEntry, KafkaTrigger } from "../functions/manifest.ts";
import { componentName } from "./component-name.ts";
import { createFunction, type Ground } from "./functions.ts";
import { consumers } from "./topics.ts";

export interface Consumer {
  readonly entry: FunctionEntry<KafkaTrigger>;
  readonly function: sst.aws.Function;
  readonly mapping: aws.lambda.EventSourceMapping;
}

/** `pulse`: what a commit starts in stages whose database no schedule may wake. */
export function createConsumers(ground: Ground, pulse: PulseLink | undefined): Consumer[] {
  return consumers.map((entry) => createConsumer(entry, ground, pulse));
}

export interface PulseLink {
  readonly link: sst.Linkable<{ functionName: $util.Output<string> }>;
  readonly arn: $util.Output<string>;
}

function createConsumer(
  entry: FunctionEntry<KafkaTrigger>,
  ground: Ground,
  pulse: PulseLink | undefined,
): Consumer {
  const { stage, kafka } = ground;
  const { topic, onFailureTopic } = entry.trigger;
  const isProvisioned = stage.pollers !== undefined;
  const source = kafka.mappingOf({
    topic,
    group: consumerGroup(entry),
    failureTopic: isProvisioned ? onFailureTopic : undefined,
  });
  const wakes = entry.wakesPulse && pulse !== undefined;
  const created = createFunction(entry, ground, {
    links: wakes ? [pulse.link] : [],
    permissions: [
      ...source.permissions,
      ...(wakes ? [{ actions: ["lambda:InvokeFunction"], resources: [pulse.arn] }] : []),
    ],
    environment: { KAFKA_FAILURES: isProvisioned ? "report" : "throw" },
  });
  const mapping = new aws.lambda.EventSourceMapping(`${componentName(entry)}Mapping`, {
    functionName: created.name,
    ...source.args,
    ...batchingOf(entry.trigger),
    ...(stage.pollers === undefined ? {} : controlsOf(entry.trigger, stage.pollers)),
  });
  return { entry, function: created, mapping };
}

/** Names the group whose commits say how far a mapping has read; it cannot be changed later. */
const consumerGroup = ({ file }: FunctionEntry): string =>
  `${$app.name}-${$app.stage}-${file.replaceAll("/", "-")}`;

function batchingOf(trigger: KafkaTrigger): Partial<aws.lambda.EventSourceMappingArgs> {
  return {
    topics: [trigger.topic],
    // The only start that misses nothing: a mapping may begin minutes after it was made.
    startingPosition: "TRIM_HORIZON",
    batchSize: trigger.batchSize,
    // Pulumi's provider takes 0 for unset, so it never reaches AWS, and Lambda waits its own 500 ms.
    ...(trigger.batchingWindowSeconds === 0
      ? {}
      : { maximumBatchingWindowInSeconds: trigger.batchingWindowSeconds }),
  };
}

function controlsOf(
  trigger: KafkaTrigger,
  pollers: { readonly min: number; readonly max: number },
): Partial<aws.lambda.EventSourceMappingArgs> {
  return {
    provisionedPollerConfig: { minimumPollers: pollers.min, maximumPollers: pollers.max },
    functionResponseTypes: ["ReportBatchItemFailures"],
    maximumRetryAttempts: trigger.maximumRetryAttempts,
    maximumRecordAgeInSeconds: trigger.maximumRecordAgeSeconds,
    bisectBatchOnFunctionError: trigger.bisectBatchOnFunctionError,
    destinationConfig: { onFailure: { destinationArn: `kafka://${trigger.onFailureTopic}` } },
    // Counts of what was given up, which an alarm watches.
    metricsConfig: { metrics: ["EventCount"] },
  };
}
