/**
 * Who is told, and of what: an alarm for each figure with a limit, all by one topic to the stage's
 * address, which has to confirm once. Each alarm also says when it is over.
 *
 * No alarm asks the database anything: a stage that sleeps is left to.
 */
import { type Alarmed, type Figure, hasLimit } from "./figure.ts";
import type { Parts } from "./parts.ts";
import { THIS_KEY } from "./wildcards.ts";

export type Alarms = ReadonlyMap<string, aws.cloudwatch.MetricAlarm>;

/** By the figure's name. */
export function createAlarms({ stage }: Parts, figures: readonly Figure[]): Alarms {
  const topic = createTopic(stage);
  return new Map(
    figures.filter(hasLimit).map((figure) => [figure.name, createAlarm(figure, topic)]),
  );
}

function createAlarm(
  { name, metric, statistic, periodSeconds, limit }: Alarmed,
  topic: aws.sns.Topic,
): aws.cloudwatch.MetricAlarm {
  return new aws.cloudwatch.MetricAlarm(`Alarm${name}`, {
    name: `${$app.name}-${$app.stage}-${name}`,
    alarmDescription: limit.why,
    namespace: metric.namespace,
    metricName: metric.name,
    dimensions: metric.dimensions,
    statistic,
    period: periodSeconds,
    comparisonOperator:
      limit.is === "below" ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold",
    threshold: limit.threshold,
    evaluationPeriods: limit.periods,
    datapointsToAlarm: limit.periods,
    treatMissingData: limit.missing,
    alarmActions: [topic.arn],
    okActions: [topic.arn],
  });
}

function createTopic(stage: Parts["stage"]): aws.sns.Topic {
  const key = createKey(stage);
  const topic = new aws.sns.Topic("Alarms", key === undefined ? {} : { kmsMasterKeyId: key.arn });
  new aws.sns.TopicSubscription("AlarmsMail", {
    topic: topic.arn,
    protocol: "email",
    endpoint: stage.alarms.email,
  });
  return topic;
}

/**
 * AWS's own key for topics does not let alarms in, so it takes one of ours. That costs a dollar a
 * month, more than all else of an idle `starter`, whose mails tell of no more than that a figure
 * passed its limit: there the topic has only the encryption of the disks it lies on.
 */
function createKey({ size }: Parts["stage"]): aws.kms.Key | undefined {
  if (size === "starter") return undefined;
  const { accountId } = aws.getCallerIdentityOutput();
  return new aws.kms.Key("AlarmsKey", {
    description: `Alarms of ${$app.name}-${$app.stage}`,
    enableKeyRotation: true,
    policy: $jsonStringify({
      Version: "2012-10-17",
      Statement: [
        {
          Sid: "Account",
          Effect: "Allow",
          Principal: { AWS: $interpolate`arn:aws:iam::${accountId}:root` },
          Action: "kms:*",
          Resource: THIS_KEY,
        },
        {
          Sid: "Alarms",
          Effect: "Allow",
          Principal: { Service: "cloudwatch.amazonaws.com" },
          Action: ["kms:Decrypt", "kms:GenerateDataKey*"],
          Resource: THIS_KEY,
          Condition: { StringEquals: { "aws:SourceAccount": accountId } },
        },
      ],
    }),
  });
}
