/** What a stage of each size is made of where its settings do not say otherwise. */
import type {
  AuroraSettings,
  DatabaseSettings,
  KafkaSettings,
  MskProvisionedSettings,
  NeonSettings,
  RdsSettings,
  Size,
  Stage,
} from "./settings.ts";

export interface SizeDefaults {
  readonly database: DatabaseSettings["kind"];
  /** `existing` brokers have no default: nobody else knows their addresses. */
  readonly kafka: KafkaSettings["kind"];
  readonly rds: Omit<RdsSettings, "kind">;
  readonly aurora: Omit<AuroraSettings, "kind">;
  readonly neon: Omit<NeonSettings, "kind">;
  readonly mskProvisioned: Omit<MskProvisionedSettings, "kind">;
  readonly events: Stage["events"];
  readonly pollers: Stage["pollers"];
  readonly http: Stage["http"];
}

const retention = { retentionHours: 168, horizonDays: 400, rawRetentionDays: 400 } as const;

const standard: SizeDefaults = {
  database: "rds",
  kafka: "msk-serverless",
  rds: {
    version: "17",
    instance: "m7g.large",
    storageGigabytes: 200,
    proxy: true,
    multiZone: false,
  },
  aurora: { version: "17", minCapacity: 0, maxCapacity: 14, pauseAfterMinutes: 5 },
  neon: { memoryGigabytes: 8, maxConnections: 901, sleeps: true },
  mskProvisioned: { version: "3.9.x", instance: "kafka.m7g.large", brokers: 4 },
  events: { partitions: 6, ...retention },
  pollers: { min: 1, max: 2 },
  http: { ratePerSecond: 200, burst: 400, origins: [] },
};

export const SIZE_DEFAULTS: Readonly<Record<Size, SizeDefaults>> = {
  // No network of its own and no pollers: nothing that is paid for while idle.
  starter: {
    ...standard,
    database: "neon",
    kafka: "existing",
    neon: { memoryGigabytes: 4, maxConnections: 450, sleeps: true },
    events: { partitions: 4, ...retention },
    pollers: undefined,
    http: { ratePerSecond: 50, burst: 100, origins: [] },
  },
  standard,
  large: {
    ...standard,
    kafka: "msk-provisioned",
    rds: {
      version: "17",
      instance: "r7g.2xlarge",
      storageGigabytes: 1_000,
      proxy: true,
      multiZone: true,
    },
    aurora: { version: "17", minCapacity: 2, maxCapacity: 84, pauseAfterMinutes: 5 },
    neon: { memoryGigabytes: 64, maxConnections: 4_000, sleeps: false },
    mskProvisioned: { version: "3.9.x", instance: "express.m7g.large", brokers: 3 },
    events: { partitions: 24, ...retention },
    pollers: { min: 2, max: 4 },
    http: { ratePerSecond: 2_000, burst: 4_000, origins: [] },
  },
};

/** Zones that a stage's network spans: MSK wants its brokers spread over all of them evenly. */
export const ZONES: Readonly<Record<Size, number>> = { starter: 0, standard: 2, large: 3 };
