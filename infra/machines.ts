/**
 * What AWS offers that this app was written for: regions, and machines with their memory and cores.
 * A name outside these lists is refused before anything is made, rather than by AWS halfway.
 */

/** Where Lambda on arm64, RDS Proxy, Aurora Serverless v2 and MSK Serverless are all to be had. */
export const REGIONS = [
  "us-east-1",
  "us-east-2",
  "us-west-2",
  "ca-central-1",
  "eu-central-1",
  "eu-north-1",
  "eu-west-1",
  "eu-west-2",
  "eu-west-3",
  "ap-south-1",
  "ap-southeast-1",
  "ap-southeast-2",
  "ap-northeast-1",
  "ap-northeast-2",
] as const;

export interface Machine {
  readonly memoryGigabytes: number;
  readonly cores: number;
}

/** Classes of RDS instances (`db.` before the name). */
export const RDS_MACHINES = {
  "t4g.micro": { memoryGigabytes: 1, cores: 2 },
  "t4g.small": { memoryGigabytes: 2, cores: 2 },
  "t4g.medium": { memoryGigabytes: 4, cores: 2 },
  "t4g.large": { memoryGigabytes: 8, cores: 2 },
  "t4g.xlarge": { memoryGigabytes: 16, cores: 4 },
  "m7g.large": { memoryGigabytes: 8, cores: 2 },
  "m7g.xlarge": { memoryGigabytes: 16, cores: 4 },
  "m7g.2xlarge": { memoryGigabytes: 32, cores: 8 },
  "m7g.4xlarge": { memoryGigabytes: 64, cores: 16 },
  "r7g.large": { memoryGigabytes: 16, cores: 2 },
  "r7g.xlarge": { memoryGigabytes: 32, cores: 4 },
  "r7g.2xlarge": { memoryGigabytes: 64, cores: 8 },
  "r7g.4xlarge": { memoryGigabytes: 128, cores: 16 },
} as const satisfies Readonly<Record<string, Machine>>;

/** MSK brokers with disks of their own, and Express ones, which have none to size. */
export const BROKER_MACHINES = [
  "kafka.m7g.large",
  "kafka.m7g.xlarge",
  "kafka.m7g.2xlarge",
  "express.m7g.large",
  "express.m7g.xlarge",
  "express.m7g.2xlarge",
] as const;

/** Kafka versions of MSK with a topic API (3.6 and later); Express has each of them too. */
export const MSK_VERSIONS = ["3.6.0", "3.8.x", "3.9.x"] as const;

/** An Aurora capacity unit is about 2 GiB and a quarter of a core. */
export const auroraMachine = (capacityUnits: number): Machine => ({
  memoryGigabytes: capacityUnits * 2,
  cores: Math.max(1, Math.floor(capacityUnits / 4)),
});

const keys = <Key extends string>(table: Readonly<Record<Key, unknown>>): [Key, ...Key[]] =>
  Object.keys(table) as [Key, ...Key[]];

export const RDS_MACHINE_NAMES = keys(RDS_MACHINES);
