/** Settings that are each right and do not go together. */
import { connectionFaults } from "./connections.ts";
import { type Fault, isExpress, type Stage } from "./settings.ts";
import { ZONES } from "./sizes.ts";

/** `dev`: as `sst dev` makes it, without the stage's own Kafka and alarms. */
export function stageFaults(stage: Stage, dev: boolean): readonly Fault[] {
  return [
    ...exampleFaults(stage, dev),
    ...placeFaults(stage),
    ...kafkaFaults(stage),
    ...retentionFaults(stage),
    ...pollerFaults(stage),
    ...databaseFaults(stage),
    ...connectionFaults(stage),
  ];
}

/** The file's examples are not to be deployed: nobody reads that mail, and nobody issues those tokens. */
function exampleFaults({ auth, alarms, kafka }: Stage, dev: boolean): Fault[] {
  const isExample = (host: string): boolean => /(^|[.@])example\.(com|org|net)$/.test(host);
  const faults: Fault[] = [];
  if (isExample(new URL(auth.issuer).hostname))
    faults.push({ path: "auth.issuer", message: "is the example's: name your tokens' issuer" });
  if (isExample(new URL(auth.jwksUrl).hostname))
    faults.push({ path: "auth.jwksUrl", message: "is the example's: name your issuer's keys" });
  if (dev) return faults;
  if (isExample(alarms.email))
    faults.push({ path: "alarms.email", message: "is the example's: name who is to be told" });
  if (
    kafka.kind === "existing" &&
    kafka.brokers.some((each) => isExample(each.split(":")[0] ?? ""))
  )
    faults.push({ path: "kafka.brokers", message: "is the example's: name your own brokers" });
  return faults;
}

/** `starter` has no network of its own, and what lives in one cannot be reached from outside of it. */
function placeFaults({ size, database, kafka }: Stage): Fault[] {
  if (size !== "starter") return [];
  const faults: Fault[] = [];
  if (database.kind !== "neon")
    faults.push({
      path: "database.kind",
      message: `${database.kind} needs a network, which size starter has not: choose neon, or size standard`,
    });
  if (kafka.kind !== "existing")
    faults.push({
      path: "kafka.kind",
      message: `${kafka.kind} needs a network, which size starter has not: name existing brokers, or choose size standard`,
    });
  return faults;
}

function kafkaFaults({ size, kafka, events }: Stage): Fault[] {
  if (kafka.kind === "existing")
    return kafka.brokers.length > 0
      ? []
      : [
          {
            path: "kafka.brokers",
            message: "names no broker (host:port): size starter has no other",
          },
        ];
  if (kafka.kind === "msk-serverless") {
    return events.partitions <= 2_400
      ? []
      : [{ path: "events.partitions", message: "is above the 2,400 that MSK Serverless allows" }];
  }
  const faults: Fault[] = [];
  if (ZONES[size] > 0 && kafka.brokers % ZONES[size] !== 0)
    faults.push({
      path: "kafka.brokers",
      message: `${kafka.brokers} cannot be spread evenly over the ${ZONES[size]} zones of size ${size}: choose a multiple of ${ZONES[size]}`,
    });
  const express = isExpress(kafka);
  if (express && ZONES[size] < 3)
    faults.push({
      path: "kafka.instance",
      message: `Express brokers need three zones, and size ${size} has ${ZONES[size]}: choose size large, or kafka.m7g.large`,
    });
  if (express && kafka.storageGigabytes !== undefined)
    faults.push({
      path: "kafka.storageGigabytes",
      message: "Express brokers have no storage to size: remove it",
    });
  return faults;
}

/** What is older than raw events are kept is refused (`event.expired`), whatever the horizon allows. */
function retentionFaults({ events: { horizonDays, rawRetentionDays } }: Stage): Fault[] {
  if (horizonDays <= rawRetentionDays) return [];
  return [
    {
      path: "events.rawRetentionDays",
      message: `is ${rawRetentionDays}, and an event may be ${horizonDays} days old (events.horizonDays): older ones than are kept would be refused, so raise it, or lower the horizon`,
    },
  ];
}

function pollerFaults({ size, pollers, events }: Stage): Fault[] {
  if (pollers === undefined) return [];
  if (size === "starter")
    return [
      {
        path: "pollers",
        message:
          "size starter has none, because they are paid for while idle: remove it, or choose size standard",
      },
    ];
  const faults: Fault[] = [];
  if (pollers.min > pollers.max)
    faults.push({
      path: "pollers.min",
      message: `is above pollers.max (${pollers.max}): lower it`,
    });
  if (pollers.max > events.partitions)
    faults.push({
      path: "pollers.max",
      message: `is above events.partitions (${events.partitions}), and each partition has one poller: lower it, or make more partitions`,
    });
  return faults;
}

function databaseFaults({ database }: Stage): Fault[] {
  if (database.kind !== "aurora") return [];
  if (database.minCapacity <= database.maxCapacity) return [];
  return [
    {
      path: "database.minCapacity",
      message: `is above database.maxCapacity (${database.maxCapacity}): lower it`,
    },
  ];
}
