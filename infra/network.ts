/**
 * The network of stages that have one: private subnets for whatever holds or handles data, and groups
 * that let through only what talks. Nothing in it can be reached from outside.
 */
import { POSTGRES_PORT } from "./database-url.ts";
import type { Stage } from "./settings.ts";
import { ZONES } from "./sizes.ts";

/** Brokers of MSK that sign in by IAM. */
export const KAFKA_IAM_PORT = 9098;
const HTTPS_PORT = 443;
/** SST's own range for a VPC. */
const RANGE = "10.0.0.0/16";
const ANYWHERE = "0.0.0.0/0";

export interface Network {
  readonly vpc: sst.aws.Vpc;
  /** Of every function; whoever is to be reached by them lets it in. */
  readonly functionGroup: aws.ec2.SecurityGroup;
}

export function createNetwork(stage: Stage): Network {
  const vpc = new sst.aws.Vpc("Network", {
    az: ZONES[stage.size],
    nat: stage.size === "large" ? "managed" : "ec2",
    transform: {
      // The group that AWS gives to whatever names none: nothing here may rely on it.
      securityGroup: (args) => {
        args.ingress = [];
        args.egress = [];
        return undefined;
      },
      natSecurityGroup: (args) => {
        args.ingress = [{ protocol: "-1", fromPort: 0, toPort: 0, cidrBlocks: [RANGE] }];
        return undefined;
      },
    },
  });
  const functionGroup = createGroup(vpc, "Functions", {
    ingress: [],
    // Addresses of AWS's services, of the issuer's keys and of what lies outside are not fixed.
    egress: [
      { ...port(HTTPS_PORT), cidrBlocks: [ANYWHERE] },
      { ...port(POSTGRES_PORT), cidrBlocks: [stage.database.kind === "neon" ? ANYWHERE : RANGE] },
      ...kafkaPorts(stage).map((each) => ({
        ...port(each),
        cidrBlocks: [stage.kafka.kind === "existing" ? ANYWHERE : RANGE],
      })),
    ],
  });
  return { vpc, functionGroup };
}

/** Where a function's network interfaces are. */
export const functionPlace = ({ vpc, functionGroup }: Network) => ({
  privateSubnets: vpc.privateSubnets,
  securityGroups: [functionGroup.id],
});

type Rules = Required<Pick<aws.ec2.SecurityGroupArgs, "ingress" | "egress">>;

export function createGroup(vpc: sst.aws.Vpc, name: string, rules: Rules): aws.ec2.SecurityGroup {
  return new aws.ec2.SecurityGroup(`Network${name}`, {
    vpcId: vpc.id,
    description: `Headrace: ${name}`,
    ...rules,
    tags: { Name: `${$app.name}-${$app.stage}-${name}` },
  });
}

/** One port of TCP, for a rule. */
export const port = (number: number) => ({ protocol: "tcp", fromPort: number, toPort: number });

/** Rules' words for the whole network. */
export const WITHIN_NETWORK = { cidrBlocks: [RANGE] };

function kafkaPorts({ kafka }: Stage): readonly number[] {
  if (kafka.kind !== "existing") return [KAFKA_IAM_PORT];
  return [...new Set(kafka.brokers.map((broker) => Number(broker.split(":")[1])))];
}
