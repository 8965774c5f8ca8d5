/**
 * A stage's settings: found by its name in `infra/stages.ts`, checked, and filled in with its size's
 * defaults. Settings that are wrong or contradict each other end the evaluation with one message
 * that names each of them and what to do.
 */
import type { z } from "zod";
import {
  type AuroraSettings,
  type DatabaseSettings,
  type Fault,
  isExpress,
  type KafkaSettings,
  type MskProvisionedSettings,
  type NeonSettings,
  type RdsSettings,
  Settings,
  type Stage,
} from "./settings.ts";
import { SIZE_DEFAULTS, type SizeDefaults } from "./sizes.ts";
import { stageFaults } from "./stage-faults.ts";
import { otherStages, stages } from "./stages.ts";

const PRODUCTION = "production";

export const isProduction = (name: string): boolean => name === PRODUCTION;

/** The region alone: it is needed before the rest is looked at. Throws where it is none of ours. */
export function stageRegion(name: string): string {
  const parsed = Settings.shape.region.safeParse(settingsOf(name).region);
  if (parsed.success) return parsed.data;
  throw refused(
    name,
    parsed.error.issues.map(({ message }) => ({ path: "region", message })),
  );
}

const settingsOf = (name: string): Settings => stages[name] ?? otherStages;

export interface ResolveOptions {
  /** Default: those of `infra/stages.ts`. */
  readonly settings?: Settings;
  /** For `sst dev`. */
  readonly dev?: boolean;
}

/** Throws an error whose message has a line for each fault. */
export function resolveStage(name: string, options: ResolveOptions = {}): Stage {
  const { settings = settingsOf(name), dev = false } = options;
  const parsed = Settings.safeParse(settings);
  if (!parsed.success) throw refused(name, parsed.error.issues.map(faultOf));
  const stage = withDefaults(name, parsed.data);
  const faults = stageFaults(stage, dev);
  if (faults.length > 0) throw refused(name, faults);
  return stage;
}

type Parsed = z.output<typeof Settings>;

function withDefaults(name: string, settings: Parsed): Stage {
  const defaults = SIZE_DEFAULTS[settings.size];
  const database = databaseOf(settings, defaults);
  return {
    name,
    production: isProduction(name),
    size: settings.size,
    region: settings.region,
    auth: settings.auth,
    database,
    databaseSleeps: scalesToZero(database),
    kafka: kafkaOf(settings, defaults),
    events: filled(settings.events, defaults.events),
    pollers: pollersOf(settings, defaults),
    http: filled(settings.http, defaults.http),
    logs: filled<Stage["logs"]>(settings.logs, { level: "info", retention: "1 month" }),
    alarms: settings.alarms,
  };
}

/** A setting that is there and undefined is left out too. */
function filled<Part extends object>(
  asked: { readonly [Name in keyof Part]?: Part[Name] | undefined } = {},
  defaults: Part,
): Part {
  const given = Object.entries(asked).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) };
}

function databaseOf(settings: Parsed, defaults: SizeDefaults): DatabaseSettings {
  const asked: NonNullable<Parsed["database"]> = settings.database ?? { kind: defaults.database };
  switch (asked.kind) {
    case "rds":
      return filled<RdsSettings>(asked, { kind: "rds", ...defaults.rds });
    case "aurora":
      return filled<AuroraSettings>(asked, { kind: "aurora", ...defaults.aurora });
    case "neon":
      return filled<NeonSettings>(asked, { kind: "neon", ...defaults.neon });
  }
}

function kafkaOf(settings: Parsed, defaults: SizeDefaults): KafkaSettings {
  const asked: NonNullable<Parsed["kafka"]> = settings.kafka ?? noBrokers(defaults.kafka);
  switch (asked.kind) {
    case "msk-serverless":
      return { kind: "msk-serverless" };
    case "msk-provisioned":
      return withStorage(
        filled<MskProvisionedSettings>(asked, {
          kind: "msk-provisioned",
          ...defaults.mskProvisioned,
        }),
      );
    case "existing":
      return asked;
  }
}

/** What nobody has named is left empty, so that it is seen and named. */
const noBrokers = (kind: KafkaSettings["kind"]): NonNullable<Parsed["kafka"]> =>
  kind === "existing" ? { kind, brokers: [] } : { kind };

/** Express brokers have no disk to size; the others have one, whether or not it was asked for. */
function withStorage(kafka: MskProvisionedSettings): MskProvisionedSettings {
  if (kafka.storageGigabytes !== undefined || isExpress(kafka)) return kafka;
  return { ...kafka, storageGigabytes: 100 };
}

/** Asked for where the size has none: kept, so that the contradiction is seen and named. */
function pollersOf(settings: Parsed, defaults: SizeDefaults): Stage["pollers"] {
  if (settings.pollers === undefined) return defaults.pollers;
  return filled(settings.pollers, defaults.pollers ?? { min: 1, max: 1 });
}

function scalesToZero(database: DatabaseSettings): boolean {
  switch (database.kind) {
    case "rds":
      return false;
    case "aurora":
      return database.minCapacity === 0;
    case "neon":
      return database.sleeps;
  }
}

function faultOf(issue: z.core.$ZodIssue): Fault {
  const path = issue.path.join(".");
  if (issue.code !== "unrecognized_keys") return { path, message: issue.message };
  const [key] = issue.keys;
  return {
    path: path === "" ? String(key) : `${path}.${key}`,
    message: "is no setting that infra/settings.ts knows: correct its name or remove it",
  };
}

function refused(name: string, faults: readonly Fault[]): Error {
  const lines = faults.map(({ path, message }) => `  ${path}: ${message}`);
  return new Error(
    `The settings of stage "${name}" (infra/stages.ts) cannot be used:\n${lines.join("\n")}`,
  );
}
