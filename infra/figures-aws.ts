/** Figures that AWS keeps of what runs: functions, schedules, the HTTP API. */
import { functions as entries, type FunctionEntry } from "../functions/manifest.ts";
import { componentName } from "./component-name.ts";
import { FIVE_MINUTES, type Figure, MISSING, type Panel } from "./figure.ts";
import type { Parts } from "./parts.ts";

/** A function that seldom runs fails seldom, too. */
const SELDOM_SECONDS = 15 * 60;
/** Answers of 5xx within five minutes; fewer are what a deploy or a broken connection leaves. */
const MANY_FAILED_REQUESTS = 5;

/** Of each function but those of a deploy, which fail it themselves. */
export function functionFigures({ functions }: Parts): readonly Figure[] {
  return [...functions].flatMap(([file, created]) => {
    const entry = entries.find((each) => each.file === file);
    if (entry === undefined || entry.trigger.kind === "deploy") return [];
    const component = componentName(entry);
    const of = (
      metric: string,
    ): Pick<Figure, "name" | "metric" | "statistic" | "periodSeconds"> => ({
      name: `${component}${metric}`,
      metric: { namespace: "AWS/Lambda", name: metric, dimensions: { FunctionName: created.name } },
      statistic: "Sum",
      periodSeconds: FIVE_MINUTES,
    });
    const limit = { is: "at least", threshold: 1, missing: MISSING.none } as const;
    return [
      {
        ...of("Errors"),
        panel: "Errors of functions",
        limit: {
          ...limit,
          periods: isSeldom(entry) ? 1 : 3,
          why: `${component} fails: it throws, or runs longer than ${entry.timeoutSeconds} s. See its log.`,
        },
      },
      {
        ...of("Throttles"),
        limit: {
          ...limit,
          periods: 3,
          why: `${component} is not let run as often as it is asked to: by its reserved concurrency, or by the account's (Lambda, Service Quotas).`,
        },
      },
    ] satisfies Figure[];
  });
}

const isSeldom = ({ trigger }: FunctionEntry): boolean =>
  trigger.kind === "cron" && trigger.every >= SELDOM_SECONDS;

export const missedRunFigures = ({ crons }: Parts): readonly Figure[] => [
  {
    name: "MissedRuns",
    panel: "Failures",
    metric: {
      namespace: "AWS/SQS",
      name: "ApproximateNumberOfMessagesVisible",
      dimensions: { QueueName: crons.missed.name },
    },
    statistic: "Maximum",
    periodSeconds: FIVE_MINUTES,
    limit: {
      is: "at least",
      threshold: 1,
      periods: 1,
      missing: MISSING.none,
      why: "A cron's run was given up. The queue MissedRuns says which and why; purge it once that is understood, nothing has to be sent again: the next run does what this one left.",
    },
  },
];

export function apiFigures({ api }: Parts): readonly Figure[] {
  const of = (
    metric: string,
    panel: Panel,
    statistic: Figure["statistic"],
  ): Omit<Figure, "limit"> => ({
    name: `Api${metric}${statistic === "Sum" ? "" : statistic.toUpperCase()}`,
    panel,
    metric: {
      namespace: "AWS/ApiGateway",
      name: metric,
      dimensions: { ApiId: api.gateway.nodes.api.id },
    },
    statistic,
    periodSeconds: FIVE_MINUTES,
  });
  return [
    of("Count", "Throughput", "Sum"),
    {
      ...of("5xx", "HTTP", "Sum"),
      limit: {
        is: "at least",
        threshold: MANY_FAILED_REQUESTS,
        periods: 1,
        missing: MISSING.none,
        why: "Requests were answered with 500, 502, 503 or 504. The API's access log has their times and routes, the logs of the functions whose names begin with Http the errors.",
      },
    },
    of("4xx", "HTTP", "Sum"),
    of("Latency", "HTTP response time (ms)", "p50"),
    of("Latency", "HTTP response time (ms)", "p99"),
  ];
}
