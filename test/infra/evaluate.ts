/**
 * What a stage would be made of: `sst.config.ts` bundled as SST's command does and evaluated whole, with
 * AWS answering from `mock-aws.ts`. Nothing is made, and no account is asked.
 *
 *   const stage = await evaluate({ settings: settingsFor("standard") });
 *   stage.the("aws:rds/instance:Instance").inputs.storageEncrypted
 *
 * Each evaluation is a process of its own: Pulumi and SST keep what they have seen for as long as one.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installPlatform } from "../../infra/install-platform.ts";
import type { Settings } from "../../infra/settings.ts";
import { bundleConfig, type Edit } from "./bundle-config.ts";
import type { Evaluated, MadeResource } from "./evaluate-child.ts";
import { Stage } from "./stage.ts";

export type { MadeResource };

export interface EvaluateOptions {
  readonly settings: Settings;
  /** Default: `test`. */
  readonly stage?: string;
  /** As `sst dev` evaluates it. */
  readonly dev?: boolean;
  /** A file of ours as if it were written otherwise. */
  readonly edit?: Edit;
  /** Values of `sst secret set`; default: those that the examples need. */
  readonly secrets?: Readonly<Record<string, string>>;
}

export const SECRETS = {
  DatabaseUrl:
    "postgresql://owner:s3cret@ep-cool-sea-123456.eu-central-1.aws.neon.tech/shop?sslmode=require",
  KafkaUsername: "headrace",
  KafkaPassword: "broker-password",
} as const;

/** For whoever waits for one: some seconds, more while other tests need the processors too. */
export const EVALUATION_MS = 180_000;

const evaluated = new Map<string, Promise<Stage>>();

/** Throws with the message that a deploy would end with. The same options are evaluated once a file. */
export function evaluate(options: EvaluateOptions): Promise<Stage> {
  const key = JSON.stringify(options);
  const known = evaluated.get(key) ?? evaluateAnew(options);
  evaluated.set(key, known);
  return known;
}

async function evaluateAnew(options: EvaluateOptions): Promise<Stage> {
  const { settings, stage = "test", dev = false, secrets = SECRETS, edit } = options;
  await installPlatform();
  const folder = await mkdtemp(join(tmpdir(), "headrace-infra-"));
  try {
    const bundle = await bundleConfig({ settings, stage, dev, folder, edit });
    const text = await run([bundle, join(folder, "result.json"), stage, folder], secrets);
    const evaluated = JSON.parse(text) as Evaluated;
    if (evaluated.error !== undefined) throw new Error(evaluated.error);
    return new Stage(evaluated);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Throws where the child ended without a word of its own. */
async function run(args: string[], secrets: Readonly<Record<string, string>>): Promise<string> {
  const program = join(import.meta.dirname, "evaluate-child.ts");
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      PATH: process.env.PATH,
      ...Object.fromEntries(
        Object.entries(secrets).map(([name, value]) => [`SST_SECRET_${name}`, value]),
      ),
    },
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  // An evaluation that was refused leaves promises behind, which Pulumi answers with a code of its own.
  const [, result = ""] = args;
  return readFile(result, "utf8").catch(() => {
    throw new Error(`the evaluation ended with exit code ${code}:\n${complaint}`);
  });
}
