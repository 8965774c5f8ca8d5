/**
 * Starts `pulse` after a commit, in stages whose database sleeps when nobody comes: no schedule wakes
 * it there, so whoever brings news does. Nothing happens where no `Pulse` is linked.
 *
 * At most once a minute for each environment, and ten seconds after a try that failed. It never fails
 * a batch and never holds it up for longer than a second; a start that was lost is made up by the next
 * commit, or by the day's schedule.
 */
import type { Logger } from "@headrace/kernel";
import { config } from "./config.ts";
import { loggable } from "./log.ts";

/** `pulse` goes on for 150 s by itself: a start a minute keeps one running while events come. */
const EVERY_MILLIS = 60_000;
const AGAIN_MILLIS = 10_000;
/** The request's own answer takes some 20 ms; the first one also loads the client and connects. */
const PATIENCE_MILLIS = 1_000;

export interface WakeOptions {
  readonly log: Logger;
  readonly functionName?: string | undefined;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

let nextAt = Number.NEGATIVE_INFINITY;

/** Never rejects. */
export async function wakePulse(options: WakeOptions): Promise<void> {
  const { log, functionName = config().pulseFunction, now = () => performance.now() } = options;
  if (functionName === undefined || now() < nextAt) return;
  // Before the request: batches that end while it is under way do not ask too.
  nextAt = now() + EVERY_MILLIS;
  try {
    await invoke(functionName, AbortSignal.timeout(PATIENCE_MILLIS));
  } catch (error) {
    nextAt = now() + AGAIN_MILLIS;
    log.warn("pulse could not be started; a later batch tries again", { error: loggable(error) });
  }
}

/** For tests: as in an environment that has just started. */
export function forgetWaking(): void {
  nextAt = Number.NEGATIVE_INFINITY;
  client = undefined;
}

type Client = import("@aws-sdk/client-lambda").LambdaClient;
let client: Client | undefined;

/** The client is loaded by the functions that use it, at their first use. */
async function invoke(functionName: string, signal: AbortSignal): Promise<void> {
  const asked = (async () => {
    const { InvokeCommand, LambdaClient } = await import("@aws-sdk/client-lambda");
    client ??= new LambdaClient({ maxAttempts: 1 });
    const command = new InvokeCommand({ FunctionName: functionName, InvocationType: "Event" });
    await client.send(command, { abortSignal: signal });
  })();
  await Promise.race([asked, aborted(signal)]);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
