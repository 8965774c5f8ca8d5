/**
 * One Lambda function for an entry of the manifest, with a role of its own: what it is linked to, told
 * and allowed follows from its entry alone.
 */
import type { FunctionEntry } from "../functions/manifest.ts";
import { bundlingOf } from "./bundling.ts";
import { componentName } from "./component-name.ts";
import { invocationsAtOnce } from "./connections.ts";
import type { Database } from "./database.ts";
import type { Kafka, Permission } from "./kafka.ts";
import { functionPlace, type Network } from "./network.ts";
import type { Stage } from "./settings.ts";
import { eventsTopic } from "./topics.ts";

/** What every function of a stage is made with. */
export interface Ground {
  readonly stage: Stage;
  readonly network: Network | undefined;
  readonly database: Database;
  readonly kafka: Kafka;
  /** What must have succeeded before code of this release serves. */
  readonly prepared: readonly $util.Resource[];
}

export interface FunctionExtras {
  readonly links?: readonly unknown[];
  readonly permissions?: readonly Permission[];
  readonly environment?: Readonly<Record<string, $util.Input<string>>>;
  readonly copyFiles?: { from: string; to: string }[];
}

/** Its certificates are in Lambda's own list, which Node reads only when told to. */
const AWS_CERTIFICATES = "/var/runtime/ca-cert.pem";

const TAKEN_ON_BY_LAMBDA = JSON.stringify({
  Version: "2012-10-17",
  Statement: [
    { Effect: "Allow", Action: "sts:AssumeRole", Principal: { Service: "lambda.amazonaws.com" } },
  ],
});

export function createFunction(
  entry: FunctionEntry,
  ground: Ground,
  extras: FunctionExtras = {},
): sst.aws.Function {
  const { stage, network, kafka } = ground;
  const reserved = invocationsAtOnce(entry, stage);
  return new sst.aws.Function(componentName(entry), {
    handler: `functions/${entry.file}.handler`,
    runtime: "nodejs24.x",
    architecture: "arm64",
    timeout: `${entry.timeoutSeconds} seconds`,
    memory: `${entry.memoryMegabytes} MB`,
    link: [...linksOf(entry, ground), ...(extras.links ?? [])],
    permissions: [...kafka.permissionsFor(entry.kafka), ...(extras.permissions ?? [])],
    environment: { ...environmentOf(entry, ground), ...extras.environment },
    logging: { retention: stage.logs.retention, format: "text" },
    nodejs: { ...bundlingOf(entry) },
    ...(network === undefined ? {} : { vpc: functionPlace(network) }),
    ...(reserved === undefined ? {} : { concurrency: { reserved } }),
    ...(extras.copyFiles === undefined ? {} : { copyFiles: extras.copyFiles }),
    transform: {
      // SST lets the whole account take it on, for its own commands.
      role: $dev ? {} : { assumeRolePolicy: TAKEN_ON_BY_LAMBDA },
      function: (_args, options) => {
        options.dependsOn = [...ground.prepared];
        return undefined;
      },
    },
  });
}

function linksOf({ trigger, pools, kafka }: FunctionEntry, ground: Ground): unknown[] {
  const { database } = ground;
  // Whoever makes the roles needs their passwords.
  const databases =
    trigger.kind === "deploy"
      ? [database.owner, ...Object.values(database.direct)]
      : pools.map((pool) => {
          if (pool === "owner") return database.owner;
          return trigger.kind === "http" ? database.pooled[pool] : database.direct[pool];
        });
  return [...databases, ...(kafka.length > 0 ? [ground.kafka.link] : [])];
}

function environmentOf(entry: FunctionEntry, { stage, database }: Ground): Record<string, string> {
  const { trigger, pools } = entry;
  return {
    HEADRACE_STAGE: stage.name,
    HEADRACE_SIZE: stage.size,
    LOG_LEVEL: stage.logs.level,
    EVENTS_TOPIC: eventsTopic(),
    EVENT_HORIZON_DAYS: String(stage.events.horizonDays),
    ...(trigger.kind === "http"
      ? {
          AUTH_ISSUER: stage.auth.issuer,
          AUTH_AUDIENCE: stage.auth.audience,
          AUTH_JWKS_URL: stage.auth.jwksUrl,
        }
      : {}),
    ...(pools.length > 0 && database.hasAwsCertificate
      ? { NODE_EXTRA_CA_CERTS: AWS_CERTIFICATES }
      : {}),
  };
}
