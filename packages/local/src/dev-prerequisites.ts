/**
 * What `sst dev` needs and cannot bring itself, looked at before it starts: one that is missing would
 * show minutes later, in the middle of a deploy, in words of another program.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { AppError } from "@headrace/kernel";
import { findJava, findMaven } from "./prerequisites.ts";
import type { Environment } from "./start-options.ts";

export interface DevMachine {
  readonly env: Environment;
  /** Such as `24.21.0`. */
  readonly nodeVersion: string;
  /** `sst`, as npm links it. */
  readonly sstProgram: string;
  /** Of Kafka; filled at the first start. */
  readonly jarsFolder: string;
}

/** Types are stripped without a flag, and Lambda's runtime is the same. */
const LEAST_NODE = 24;

/** What is missing, each with how to get it; empty where everything is there. */
export async function missingForDev(machine: DevMachine): Promise<readonly string[]> {
  const found = await Promise.all([
    checkNode(machine),
    checkSst(machine),
    checkCredentials(machine.env),
    checkKafka(machine),
  ]);
  return found.filter((missing) => missing !== undefined);
}

function checkNode({ nodeVersion }: DevMachine): string | undefined {
  if (Number.parseInt(nodeVersion, 10) >= LEAST_NODE) return undefined;
  return `Node ${LEAST_NODE}: this is Node ${nodeVersion}. \`npm ci\` brings the right one, which npm's scripts then use.`;
}

function checkSst({ sstProgram }: DevMachine): string | undefined {
  if (existsSync(sstProgram)) return undefined;
  return `SST: ${sstProgram} is not there. Run \`npm ci\` (without --omit=dev).`;
}

/** Looks only whether there are any: whether they are valid is AWS's to say. */
async function checkCredentials(env: Environment): Promise<string | undefined> {
  const isGiven =
    (env.AWS_ACCESS_KEY_ID && env.AWS_SECRET_ACCESS_KEY) ||
    env.AWS_WEB_IDENTITY_TOKEN_FILE ||
    env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ||
    env.AWS_CONTAINER_CREDENTIALS_FULL_URI;
  if (isGiven) return undefined;
  const profiles = await readProfiles(env);
  const wanted = env.AWS_PROFILE || "default";
  if (profiles.includes(wanted)) return undefined;
  const remedy =
    "run `aws configure sso` (or `aws configure`) of the AWS CLI, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  if (profiles.length === 0) return `AWS credentials: there are none. To get them, ${remedy}.`;
  const others = profiles.join(", ");
  return env.AWS_PROFILE
    ? `AWS credentials: AWS_PROFILE names "${wanted}", and the profiles here are ${others}. Set it to one of these, or ${remedy}.`
    : `AWS credentials: there is no default profile. Set AWS_PROFILE to one of ${others}, or ${remedy}.`;
}

async function readProfiles(env: Environment): Promise<readonly string[]> {
  const folder = join(env.HOME || homedir(), ".aws");
  const files = [
    env.AWS_SHARED_CREDENTIALS_FILE || join(folder, "credentials"),
    env.AWS_CONFIG_FILE || join(folder, "config"),
  ];
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")));
  const names = texts.flatMap((text) =>
    [...text.matchAll(/^\s*\[\s*(?:profile\s+)?([^\]\s]+)\s*\]/gm)].map((match) => match[1] ?? ""),
  );
  return [...new Set(names)];
}

async function checkKafka({ jarsFolder }: DevMachine): Promise<string | undefined> {
  try {
    await (existsSync(jarsFolder) ? findJava() : findMaven());
    return undefined;
  } catch (error) {
    if (error instanceof AppError) return `Kafka on this machine: ${error.message}`;
    throw error;
  }
}
