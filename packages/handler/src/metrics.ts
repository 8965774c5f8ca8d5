/**
 * The figures that alarms and the dashboard watch, written as log lines that CloudWatch turns into
 * metrics (embedded metric format): no call, no delay, nothing that can fail a batch.
 *
 * Only deployed functions write them. All are of namespace `Headrace` and counted for the whole stage,
 * and where a topic is named also for the topic alone.
 */
import { config } from "./config.ts";
import { servedRequestId } from "./invocation.ts";
import { systemClock } from "./log.ts";

/** Every metric there is, with CloudWatch's unit. */
export const METRIC_UNITS = {
  /** Events taken in, without duplicates. */
  EventsStored: "Count",
  /** Records set aside for the first time. */
  DeadLetters: "Count",
  /** Records set aside because their batch failed again and again. */
  GaveUpRecords: "Count",
  /** Partitions of an invocation whose batch failed and comes again. */
  FailedBatches: "Count",
  /** Runs of a cron that ended with an error. */
  CronFailures: "Count",
  /** Records in Kafka that have not been taken in, of the partition that has most. */
  OffsetLag: "Count",
  /** From the overall watermark to the database's clock. */
  WatermarkLagSeconds: "Seconds",
  /** Stretches of skipped offsets that have not been filled. */
  OpenGaps: "Count",
  /** Records that Kafka no longer had when their gap was read again. */
  LostRecords: "Count",
  /** Age of the oldest transaction that holds back what follows behind ingest. */
  XminAgeSeconds: "Seconds",
  /** How long, at least, the oldest window state has waited to be folded. */
  FreshnessSeconds: "Seconds",
  /** Sessions of stopped processes that were ended. */
  OverdueSessions: "Count",
  /** Results that an audit found to differ from raw events. */
  AuditDifferences: "Count",
} as const;

export type MetricName = keyof typeof METRIC_UNITS;
export type MetricValues = Readonly<Partial<Record<MetricName, number>>>;

export interface MetricScope {
  readonly topic?: string;
}

export const METRIC_NAMESPACE = "Headrace";

/** Receives one line without a line break. */
export type MetricSink = (line: string) => void;

let sink: MetricSink | undefined;

/** Puts another receiver in place, also where nothing is deployed; undefined the standard one again. */
export function useMetricSink(other: MetricSink | undefined): void {
  sink = other;
}

/** Whether it is worth the trouble to find out what would be recorded. */
export const metricsAreRead = (): boolean => sink !== undefined || config().deployed;

/** Values that are no finite number are left out: CloudWatch would refuse the whole line. */
export function recordMetrics(values: MetricValues, scope: MetricScope = {}): void {
  if (!metricsAreRead()) return;
  const finite = Object.entries(values).filter(([, value]) => Number.isFinite(value));
  if (finite.length === 0) return;
  const write = sink ?? toLog;
  write(
    JSON.stringify({
      _aws: {
        Timestamp: systemClock.now(),
        CloudWatchMetrics: [
          {
            Namespace: METRIC_NAMESPACE,
            Dimensions: scope.topic === undefined ? [["stage"]] : [["stage"], ["stage", "topic"]],
            Metrics: finite.map(([name]) => ({
              Name: name,
              Unit: METRIC_UNITS[name as MetricName],
            })),
          },
        ],
      },
      stage: config().stage,
      ...scope,
      requestId: servedRequestId(),
      ...Object.fromEntries(finite),
    }),
  );
}

const toLog: MetricSink = (line) => {
  process.stdout.write(`${line}\n`);
};
