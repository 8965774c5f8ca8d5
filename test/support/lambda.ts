/** A bundled function in a process of its own, with what the cloud would give it and nothing else. */
import { type ChildProcess, fork } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bundle } from "./bundles.ts";

export interface LambdaOptions {
  readonly environment: Readonly<Record<string, string>>;
  /** Values of SST's links by their names; they lie encrypted beside the function. */
  readonly links: Readonly<Record<string, unknown>>;
}

export interface Lambda {
  /** Rejects with what the handler threw, or when it does not answer within 30 s. */
  invoke(event: unknown, remainingMillis?: number): Promise<Invoked>;
  /** Complete lines that it has written so far. */
  readonly lines: { readonly stdout: readonly string[]; readonly stderr: readonly string[] };
  stop(): Promise<void>;
}

export interface Invoked {
  readonly result: unknown;
  /** Of the first invocation: from the beginning of loading its file. */
  readonly millis: number;
}

const RUNTIME = join(import.meta.dirname, "lambda-runtime.ts");
const ANSWER_MILLIS = 30_000;

export async function startLambda(bundle: Bundle, options: LambdaOptions): Promise<Lambda> {
  const { folder, entry } = bundle;
  const key = randomBytes(32);
  await writeFile(join(folder, "resource.enc"), sealed(options.links, key));
  const child = fork(RUNTIME, [], {
    cwd: folder,
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: {
      PATH: process.env.PATH,
      LANG: "en_US.UTF-8",
      TZ: ":UTC",
      _HANDLER: "bundle.handler",
      LAMBDA_TASK_ROOT: folder,
      AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
      AWS_REGION: "eu-central-1",
      AWS_LAMBDA_FUNCTION_NAME: `headrace-test-${entry.file.replaceAll("/", "-")}`,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(entry.memoryMegabytes),
      SST_RESOURCE_App: JSON.stringify({ name: "headrace", stage: "test" }),
      SST_KEY: key.toString("base64"),
      SST_KEY_FILE: "resource.enc",
      ...options.environment,
    },
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    lines: { stdout: linesOf(child, "stdout"), stderr: linesOf(child, "stderr") },
    invoke: (event, remainingMillis = entry.timeoutSeconds * 1000) =>
      invoke(child, gone, { event, remainingMillis }),
    async stop() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

interface Told {
  readonly result?: string;
  readonly millis: number;
  readonly failure?: { readonly errorType: string; readonly errorMessage: string };
}

async function invoke(
  child: ChildProcess,
  gone: Promise<void>,
  invocation: object,
): Promise<Invoked> {
  const { promise, resolve, reject } = Promise.withResolvers<Told>();
  const timer = setTimeout(() => reject(new Error("the function does not answer")), ANSWER_MILLIS);
  child.once("message", resolve);
  void gone.then(() => reject(new Error(`the function's process ended (${child.exitCode})`)));
  try {
    child.send(invocation);
    const { result, millis, failure } = await promise;
    if (failure !== undefined) throw Object.assign(new Error(failure.errorMessage), failure);
    return { result: result === undefined ? undefined : JSON.parse(result), millis };
  } finally {
    clearTimeout(timer);
    child.off("message", resolve);
  }
}

/** As SST seals a function's links: AES-256-GCM with a key of its own. */
function sealed(links: LambdaOptions["links"], key: Buffer): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, Buffer.alloc(12));
  const text = Buffer.concat([cipher.update(JSON.stringify(links)), cipher.final()]);
  return Buffer.concat([text, cipher.getAuthTag()]);
}

/** Grows as lines are written. */
function linesOf(child: ChildProcess, name: "stdout" | "stderr"): string[] {
  const lines: string[] = [];
  let rest = "";
  child[name]?.setEncoding("utf8").on("data", (chunk: string) => {
    const [last = "", ...complete] = `${rest}${chunk}`.split("\n").reverse();
    rest = last;
    lines.push(...complete.reverse());
  });
  return lines;
}
