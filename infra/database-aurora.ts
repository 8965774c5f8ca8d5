/**
 * PostgreSQL on Aurora Serverless v2: its capacity follows the load, down to nothing where its least is
 * 0. No proxy: one that is open keeps the database from sleeping.
 */
import { parameterGroup } from "@headrace/capacity";
import type { DatabaseHosts } from "./database.ts";
import { POSTGRES_PORT } from "./database-url.ts";
import { createGroup, type Network, port } from "./network.ts";
import { serverOf } from "./server.ts";
import type { AuroraSettings, Stage } from "./settings.ts";

const NAME = "headrace";

export function createAurora(
  stage: Stage,
  settings: AuroraSettings,
  { vpc, functionGroup }: Network,
): DatabaseHosts {
  const databaseGroup = createGroup(vpc, "Database", {
    ingress: [{ ...port(POSTGRES_PORT), securityGroups: [functionGroup.id] }],
    egress: [],
  });
  const { minCapacity, maxCapacity, pauseAfterMinutes } = settings;
  const database = new sst.aws.Aurora("Database", {
    engine: "postgres",
    version: settings.version,
    vpc: { subnets: vpc.privateSubnets, securityGroups: [databaseGroup.id] },
    database: NAME,
    username: NAME,
    scaling: {
      min: `${minCapacity} ACU`,
      max: `${maxCapacity} ACU`,
      ...(stage.databaseSleeps ? { pauseAfter: `${pauseAfterMinutes} minutes` } : {}),
    },
    transform: {
      clusterParameterGroup: { parameters: parametersOf(stage) },
      cluster: (args) => {
        args.deletionProtection = stage.production;
        args.copyTagsToSnapshot = true;
        args.backupRetentionPeriod = 7;
        return undefined;
      },
      instance: (args) => {
        args.publiclyAccessible = false;
        return undefined;
      },
    },
  });
  const { cluster } = database.nodes;
  if (cluster === undefined) throw new Error("Aurora made no cluster");
  const place = {
    server: cluster.endpoint.apply((host) => ({ host, port: POSTGRES_PORT, database: NAME })),
    through: "server",
  } as const;
  return {
    owner: database.password.apply((password) => ({ username: NAME, password })),
    direct: place,
    pooled: place,
    clusterId: cluster.clusterIdentifier,
    // A cluster answers to its name before it has a server.
    made: [database],
    hasAwsCertificate: true,
  };
}

function parametersOf(stage: Stage): aws.types.input.rds.ClusterParameterGroupParameter[] {
  return [
    { name: "rds.force_ssl", value: "1", applyMethod: "immediate" },
    ...parameterGroup("aurora", serverOf(stage)),
  ];
}
