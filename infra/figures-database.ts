/** Figures that AWS keeps of its databases; Neon's are in Neon's own console. */
import { maxConnections } from "@headrace/capacity";
import { FIVE_MINUTES, type Figure, type Limit, MISSING, type Panel } from "./figure.ts";
import type { Parts } from "./parts.ts";
import { serverOf } from "./server.ts";

const GIBIBYTE = 1024 ** 3;
const BUSY_PERCENT = 80;
/** Of what the server allows; the rest is for people with a console. */
const FULL_SHARE = 0.8;
/** The server is short of memory well before it has none: its file cache goes first. */
const LEAST_MEMORY_SHARE = 0.05;
/** RDS makes a disk larger when a tenth is free, which is this much of its least one (20 GB). */
const LEAST_STORAGE_BYTES = 2 * GIBIBYTE;
/** A slot that nobody reads keeps all that was written since; the disk ends before anybody notices. */
const MUCH_KEPT_BYTES = 10 * GIBIBYTE;

type Dimensions = Figure["metric"]["dimensions"];

export function databaseFigures({ stage, database }: Parts): readonly Figure[] {
  const { instanceId, clusterId, proxyName } = database;
  if (instanceId !== undefined) {
    const dimensions = { DBInstanceIdentifier: instanceId };
    return [
      ...serverFigures(stage, dimensions),
      storageFigure(dimensions),
      ...slotFigures(dimensions),
      ...(proxyName === undefined ? [] : [proxyFigure({ ProxyName: proxyName })]),
    ];
  }
  if (clusterId === undefined) return [];
  const dimensions = { DBClusterIdentifier: clusterId };
  return [
    ...serverFigures(stage, dimensions),
    capacityFigure(dimensions),
    // A slot would keep the database awake, so a stage that sleeps has none.
    ...(stage.databaseSleeps ? [] : slotFigures(dimensions)),
  ];
}

function serverFigures(stage: Parts["stage"], dimensions: Dimensions): Figure[] {
  const allowed = maxConnections(stage.size);
  const { memoryBytes } = serverOf(stage);
  return [
    figure("CPUUtilization", "Database load (%)", "Average", dimensions, {
      ...above(BUSY_PERCENT),
      why: `The database's processors have been over ${BUSY_PERCENT} % busy for a quarter of an hour. See Performance Insights for the statements, then choose a larger server.`,
    }),
    figure("DatabaseConnections", "Database connections", "Maximum", dimensions, {
      ...above(Math.floor(allowed * FULL_SHARE)),
      why: `Over four fifths of the ${allowed} connections that size ${stage.size} has are in use. See pg_stat_activity by usename: what is not headrace_* is not ours.`,
    }),
    figure("FreeableMemory", "Database memory and storage (bytes)", "Minimum", dimensions, {
      ...below(Math.round(memoryBytes * LEAST_MEMORY_SHARE)),
      why: "The database's machine has next to no memory free: the system may end the server. See Performance Insights for large sorts, then choose a larger server.",
    }),
  ];
}

const storageFigure = (dimensions: Dimensions): Figure =>
  figure("FreeStorageSpace", "Database memory and storage (bytes)", "Minimum", dimensions, {
    ...below(LEAST_STORAGE_BYTES),
    why: "The database's disk is nearly full and has not grown by itself: it has reached database.storageGigabytes, or grew less than six hours ago. Raise the setting and deploy.",
  });

const capacityFigure = (dimensions: Dimensions): Figure =>
  figure("ACUUtilization", "Database load (%)", "Average", dimensions, {
    ...above(BUSY_PERCENT),
    why: `The database has used over ${BUSY_PERCENT} % of database.maxCapacity for a quarter of an hour. Raise it.`,
  });

/** AWS counts replicas' slots and those of logical decoding apart. */
const slotFigures = (dimensions: Dimensions): Figure[] =>
  ["OldestReplicationSlotLag", "OldestLogicalReplicationSlotLag"].map((metric) =>
    figure(metric, "Database memory and storage (bytes)", "Maximum", dimensions, {
      ...above(MUCH_KEPT_BYTES),
      // Without slots there is no value.
      missing: MISSING.none,
      why: "A replication slot is not read and keeps over 10 GiB of the database's log. See pg_replication_slots; drop the slot if nobody will read it again.",
    }),
  );

const proxyFigure = (dimensions: Dimensions): Figure =>
  figure("DatabaseConnectionsCurrentlyBorrowed", "Database connections", "Maximum", dimensions);

function figure(
  metric: string,
  panel: Panel,
  statistic: Figure["statistic"],
  dimensions: Dimensions,
  limit?: Limit,
): Figure {
  return {
    name: `Database${metric.replace(/^Database/, "")}`,
    panel,
    metric: { namespace: "AWS/RDS", name: metric, dimensions },
    statistic,
    periodSeconds: FIVE_MINUTES,
    ...(limit === undefined ? {} : { limit }),
  };
}

const lasting = { periods: 3, missing: MISSING.silent } as const;
const above = (threshold: number) => ({ is: "at least", threshold, ...lasting }) as const;
const below = (threshold: number) => ({ is: "below", threshold, ...lasting }) as const;
