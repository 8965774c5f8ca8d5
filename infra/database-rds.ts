/**
 * PostgreSQL on RDS: one server in private subnets, encrypted, reached by TLS alone, with the same
 * settings as the local one; a proxy for the many short connections of HTTP functions.
 */
import { databaseRole, parameterGroup, ROLE_NAMES } from "@headrace/capacity";
import type { DatabaseHosts, RolePasswords } from "./database.ts";
import { POSTGRES_PORT } from "./database-url.ts";
import { createGroup, type Network, port, WITHIN_NETWORK } from "./network.ts";
import { serverOf } from "./server.ts";
import type { RdsSettings, Stage } from "./settings.ts";

const NAME = "headrace";
/** How long a request waits for a connection of the proxy's before it is told to come again. */
const BORROW_SECONDS = 2;
/** The rest is for whatever connects to the server itself. */
const PROXY_PERCENT = 70;

export function createRds(
  stage: Stage,
  settings: RdsSettings,
  network: Network,
  passwords: RolePasswords,
): DatabaseHosts {
  const { vpc, functionGroup } = network;
  const proxyGroup = settings.proxy ? createProxyGroup(network) : undefined;
  const databaseGroup = createGroup(vpc, "Database", {
    ingress: [
      {
        ...port(POSTGRES_PORT),
        securityGroups: [functionGroup, ...(proxyGroup ? [proxyGroup] : [])].map(({ id }) => id),
      },
    ],
    egress: [],
  });
  const database = new sst.aws.Postgres(
    "Database",
    {
      vpc,
      version: settings.version,
      instance: settings.instance,
      storage: `${settings.storageGigabytes} GB`,
      database: NAME,
      username: NAME,
      multiAz: settings.multiZone,
      proxy: settings.proxy && {
        credentials: ROLE_NAMES.map((name) => ({
          username: databaseRole(name),
          password: passwords[name],
        })),
      },
      transform: {
        parameterGroup: { parameters: parametersOf(stage) },
        instance: (args) => {
          args.deletionProtection = stage.production;
          args.copyTagsToSnapshot = true;
          return undefined;
        },
        proxy: (args) => {
          args.requireTls = true;
          args.vpcSecurityGroupIds = proxyGroup ? [proxyGroup.id] : [];
          args.auths = $output(args.auths ?? []).apply((auths) =>
            auths.map((auth) => ({ ...auth, clientPasswordAuthType: "POSTGRES_SCRAM_SHA_256" })),
          );
          return undefined;
        },
      },
    },
    { transformations: [(each) => closed(each, databaseGroup)] },
  );
  const { instance } = database.nodes;
  if (instance === undefined) throw new Error("RDS made no instance");
  const direct = {
    server: instance.address.apply((host) => ({ host, port: POSTGRES_PORT, database: NAME })),
    through: "server",
  } as const;
  return {
    owner: database.password.apply((password) => ({ username: NAME, password })),
    direct,
    pooled: settings.proxy
      ? {
          server: database.host.apply((host) => ({ host, port: POSTGRES_PORT, database: NAME })),
          through: "proxy",
        }
      : direct,
    instanceId: instance.identifier,
    ...(settings.proxy ? { proxyName: database.proxyId } : {}),
    // A proxy answers to its name before it knows its server.
    made: [database],
    hasAwsCertificate: true,
  };
}

const createProxyGroup = ({ vpc, functionGroup }: Network): aws.ec2.SecurityGroup =>
  createGroup(vpc, "DatabaseProxy", {
    ingress: [{ ...port(POSTGRES_PORT), securityGroups: [functionGroup.id] }],
    egress: [{ ...port(POSTGRES_PORT), ...WITHIN_NETWORK }],
  });

function parametersOf(stage: Stage): aws.types.input.rds.ParameterGroupParameter[] {
  return [
    { name: "rds.force_ssl", value: "1", applyMethod: "immediate" },
    { name: "rds.logical_replication", value: "1", applyMethod: "pending-reboot" },
    ...parameterGroup("rds", serverOf(stage)),
  ];
}

/** What the component has no argument for, of the server. */
function closed(
  { type, props, opts }: $util.ResourceTransformationArgs,
  group: aws.ec2.SecurityGroup,
): $util.ResourceTransformationResult | undefined {
  if (type === "aws:rds/instance:Instance")
    return {
      props: { ...props, publiclyAccessible: false, vpcSecurityGroupIds: [group.id] },
      opts,
    };
  if (type === "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup")
    return {
      props: {
        ...props,
        connectionPoolConfig: {
          connectionBorrowTimeout: BORROW_SECONDS,
          maxConnectionsPercent: PROXY_PERCENT,
        },
      },
      opts,
    };
  return undefined;
}
