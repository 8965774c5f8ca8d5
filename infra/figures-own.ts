/**
 * Figures that the functions write themselves (packages/handler, `metrics.ts`), and those of their
 * mappings. Gauges come from `watch-progress`, every ten seconds while `pulse` runs.
 */
import { componentName } from "./component-name.ts";
import { FIVE_MINUTES, type Figure, type Limit, MINUTE, MISSING, type Panel } from "./figure.ts";
import type { Parts } from "./parts.ts";
import { consumers } from "./topics.ts";

const NAMESPACE = "Headrace";
const MANY_BATCHES = 10;
/** Six times what is promised, so that one slow fold wakes nobody. */
const STALE_SECONDS = 30;
/** No transaction of ours is open for longer than half of it. */
const OLD_XMIN_SECONDS = 60;

/** The first period already says it. */
const atOnce = (why: string): Limit => ({
  is: "at least",
  threshold: 1,
  periods: 1,
  missing: MISSING.none,
  why,
});

/** Once is what retries are for. */
const again = (why: string): Limit => ({ ...atOnce(why), periods: 3 });

const lasting = (threshold: number, why: string): Limit => ({
  is: "at least",
  threshold,
  periods: 5,
  missing: MISSING.silent,
  why,
});

type Own = (metric: string, panel: Panel, statistic: Figure["statistic"], limit?: Limit) => Figure;

export function ownFigures({ stage }: Parts): readonly Figure[] {
  const own: Own = (metric, panel, statistic, limit) => ({
    name: metric,
    panel,
    metric: { namespace: NAMESPACE, name: metric, dimensions: { stage: stage.name } },
    statistic,
    periodSeconds: statistic === "Sum" ? FIVE_MINUTES : MINUTE,
    ...(limit === undefined ? {} : { limit }),
  });
  const largestBatch = Math.max(...consumers.map(({ trigger }) => trigger.batchSize));
  const figures = [
    own(
      "FreshnessSeconds",
      "Freshness (seconds)",
      "Maximum",
      lasting(
        STALE_SECONDS,
        `Window states have waited over ${STALE_SECONDS} s to be folded: tables are behind, reports stay exact and become slower. See the log of CronPulse, the age of xmin and the database's CPU.`,
      ),
    ),
    own("WatermarkLagSeconds", "Freshness (seconds)", "Maximum"),
    own(
      "XminAgeSeconds",
      "Freshness (seconds)",
      "Maximum",
      lasting(
        OLD_XMIN_SECONDS,
        `A transaction has been open for over ${OLD_XMIN_SECONDS} s and holds back everything that follows behind ingest. See pg_stat_activity, oldest xact_start first; none of ours lasts that long.`,
      ),
    ),
    own(
      "OffsetLag",
      "Not taken in yet",
      "Maximum",
      lasting(
        MANY_BATCHES * largestBatch,
        "A partition has had over ten full batches unread for five minutes. See the log, errors and throttles of the functions that Kafka starts, then raise pollers.max or events.partitions.",
      ),
    ),
    own("OpenGaps", "Not taken in yet", "Maximum", {
      ...lasting(
        1,
        "Offsets that were skipped have not been read again for a quarter of an hour. See the log of CronPulse (fill-gaps).",
      ),
      periods: 15,
    }),
    own("EventsStored", "Throughput", "Sum"),
    own(
      "DeadLetters",
      "Set aside and lost",
      "Sum",
      atOnce(
        "Records were set aside: they cannot be read, or failed twenty times (batch.gave_up). GET /v1/dead-letters shows them with their reasons; after a fix, POST /v1/dead-letters/replay sends them again.",
      ),
    ),
    own(
      "LostRecords",
      "Set aside and lost",
      "Sum",
      atOnce(
        "Records are gone: Kafka had deleted them before a gap was read again. See the log of CronPulse for their offsets, and raise events.retentionHours.",
      ),
    ),
    own(
      "FailedBatches",
      "Failures",
      "Sum",
      again(
        "Batches have failed and come again for a quarter of an hour. See the log of the functions that Kafka starts.",
      ),
    ),
    own(
      "CronFailures",
      "Failures",
      "Sum",
      again(
        "A cron has failed again and again for a quarter of an hour. See the logs of the functions whose names begin with Cron.",
      ),
    ),
    own(
      "AuditDifferences",
      "Failures",
      "Sum",
      atOnce(
        "Results differ from raw events. Table audit_runs has the rows; npm run rebuild makes them again, and the cause is a bug to report.",
      ),
    ),
    own("OverdueSessions", "Failures", "Sum"),
  ];
  return [...figures, ...gaveUpFigures(stage, own), ...silenceFigures(stage)];
}

/** Where no mapping gives records up, the functions do. */
function gaveUpFigures({ pollers }: Parts["stage"], own: Own): Figure[] {
  if (pollers !== undefined) return [];
  const limit = atOnce(
    "Records failed twenty times and were set aside so that others go on. GET /v1/dead-letters?code=batch.gave_up shows them, the function's log the error; after a fix they can be sent again.",
  );
  return [own("GaveUpRecords", "Set aside and lost", "Sum", limit)];
}

/** A stage that sleeps is silent for good reason. */
function silenceFigures({ name, databaseSleeps }: Parts["stage"]): Figure[] {
  if (databaseSleeps) return [];
  return [
    {
      name: "PulseSilent",
      panel: "Failures",
      metric: { namespace: NAMESPACE, name: "FreshnessSeconds", dimensions: { stage: name } },
      statistic: "SampleCount",
      periodSeconds: MINUTE,
      limit: {
        is: "below",
        threshold: 1,
        periods: 5,
        missing: MISSING.fault,
        why: "No cron has reported for five minutes: windows are not folded, gaps not filled. See the log of CronPulse, its schedule and the queue MissedRuns.",
      },
    },
  ];
}

/** What Lambda gave up. It counts that only for mappings with pollers of their own. */
export function mappingFigures({ stage, consumers }: Parts): readonly Figure[] {
  if (stage.pollers === undefined) return [];
  return consumers.flatMap(({ entry, mapping }) => {
    const of = (metric: string, why: string): Figure => ({
      name: `${componentName(entry)}${metric}`,
      panel: "Set aside and lost",
      metric: {
        namespace: "AWS/Lambda",
        name: `${metric}EventCount`,
        dimensions: { EventSourceMappingUUID: mapping.uuid },
      },
      statistic: "Sum",
      periodSeconds: FIVE_MINUTES,
      limit: atOnce(why),
    });
    const { topic, onFailureTopic } = entry.trigger;
    return [
      of(
        "OnFailureDestinationDelivered",
        `Records of topic ${topic} failed until their retries were used up and now wait in topic ${onFailureTopic}. See the function's log; after a fix, produce their payload to ${topic} again.`,
      ),
      of(
        "Dropped",
        `Records of topic ${topic} failed until their retries were used up, and could not be written to topic ${onFailureTopic} either. They are still in ${topic} for events.retentionHours.`,
      ),
    ];
  });
}
