/**
 * Functions that a schedule starts. Crons faster than a schedule's least step run inside `pulse` and
 * have no function here.
 *
 * Where the database sleeps, a schedule would keep it awake: commits start `pulse` there, and once a
 * day, all in the same minute, each cron runs for what no commit came to ask for.
 */
import type { CronTrigger, FunctionEntry } from "../functions/manifest.ts";
import { componentName } from "./component-name.ts";
import { PULSE, scheduledCrons } from "./connections.ts";
import type { PulseLink } from "./consumers.ts";
import { createFunction, type Ground } from "./functions.ts";

export interface Crons {
  readonly functions: ReadonlyMap<string, sst.aws.Function>;
  /** Invocations that were given up, by the scheduler or by Lambda. */
  readonly missed: aws.sqs.Queue;
  readonly pulse: PulseLink | undefined;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** At night in most places, and not on the hour, when everybody's schedules run. */
const DAILY = "cron(17 3 * * ? *)";
/** The longest that SQS keeps a message. */
const KEPT_SECONDS = 14 * DAY;
/** Of the scheduler, until Lambda has accepted the invocation. */
const DELIVERY_TRIES = 5;

export function createCrons(ground: Ground): Crons {
  const missed = new aws.sqs.Queue("MissedRuns", {
    messageRetentionSeconds: KEPT_SECONDS,
    sqsManagedSseEnabled: true,
  });
  const functions = new Map(
    scheduledCrons.map((entry) => [entry.file, createCron(entry, ground, missed)]),
  );
  return { functions, missed, pulse: linkPulse(ground, functions.get(PULSE)) };
}

function createCron(
  entry: FunctionEntry<CronTrigger>,
  ground: Ground,
  missed: aws.sqs.Queue,
): sst.aws.Function {
  const created = createFunction(entry, ground, {
    permissions: [{ actions: ["sqs:SendMessage"], resources: [missed.arn] }],
  });
  new aws.lambda.FunctionEventInvokeConfig(`${componentName(entry)}Invoke`, {
    functionName: created.name,
    ...retriesOf(secondsBetween(entry, ground)),
    destinationConfig: { onFailure: { destination: missed.arn } },
  });
  new sst.aws.CronV2(`${componentName(entry)}Schedule`, {
    function: created.arn,
    schedule: ground.stage.databaseSleeps ? DAILY : rateOf(entry.trigger.every),
    timezone: "UTC",
    retries: DELIVERY_TRIES,
    dlq: missed.arn,
  });
  return created;
}

/** What starts a cron where the database sleeps may not come again before the next day. */
const secondsBetween = ({ trigger }: FunctionEntry<CronTrigger>, { stage }: Ground): number =>
  stage.databaseSleeps ? DAY : trigger.every;

/** A run that failed is made up for by the next; one that is later than that would only be in its way. */
const retriesOf = (seconds: number) => ({
  maximumRetryAttempts: seconds < HOUR ? 0 : 2,
  maximumEventAgeInSeconds: Math.max(MINUTE, Math.min(seconds, 6 * HOUR)),
});

function linkPulse({ stage }: Ground, pulse: sst.aws.Function | undefined): PulseLink | undefined {
  if (!stage.databaseSleeps || pulse === undefined) return undefined;
  const link = new sst.Linkable("Pulse", { properties: { functionName: pulse.name } });
  return { link, arn: pulse.arn };
}

type Rate = `rate(${string})`;

/** Throws where the scheduler has no such step. */
function rateOf(seconds: number): Rate {
  for (const [unit, length] of [
    ["day", DAY],
    ["hour", HOUR],
    ["minute", MINUTE],
  ] as const) {
    const count = seconds / length;
    if (Number.isInteger(count)) return `rate(${count} ${count === 1 ? unit : `${unit}s`})`;
  }
  throw new Error(`a schedule's step is whole minutes, and functions/manifest.ts has ${seconds} s`);
}
