/**
 * Calls a function as Lambda does: with an event, a context and a time limit.
 *
 * In the cloud a function that runs out of time is stopped. Here it shares the process and cannot be:
 * its invocation counts as failed and what it still does goes on beside the retry, as a function that
 * Lambda has lost sight of may do too.
 */
import { randomUUID } from "node:crypto";
import type { KafkaTriggerEvent } from "./event.ts";

/** The part of Lambda's context that functions here may use. */
export interface InvocationContext {
  readonly awsRequestId: string;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  getRemainingTimeInMillis(): number;
}

export type KafkaFunction = (event: KafkaTriggerEvent, context: InvocationContext) => unknown;

export interface FunctionSetup<Event = KafkaTriggerEvent> {
  readonly name: string;
  readonly handler: (event: Event, context: InvocationContext) => unknown;
  readonly timeoutSeconds: number;
  readonly memoryMegabytes: number;
}

export interface Invocation {
  readonly requestId: string;
  readonly durationMillis: number;
  /** What it answered, or why there is no answer. */
  readonly outcome: { readonly answer: unknown } | { readonly error: unknown };
}

/** Never rejects. */
export async function invoke<Event>(
  setup: FunctionSetup<Event>,
  event: Event,
): Promise<Invocation> {
  const requestId = randomUUID();
  const startedAt = performance.now();
  const limitMillis = setup.timeoutSeconds * 1000;
  const context: InvocationContext = {
    awsRequestId: requestId,
    functionName: setup.name,
    functionVersion: "$LATEST",
    invokedFunctionArn: localArn(setup.name),
    memoryLimitInMB: String(setup.memoryMegabytes),
    getRemainingTimeInMillis: () =>
      Math.max(0, Math.round(limitMillis - (performance.now() - startedAt))),
  };
  const outcome = await answerOf(setup, event, context, limitMillis);
  return { requestId, durationMillis: performance.now() - startedAt, outcome };
}

/** In the shape of an ARN, of no account and no region. */
export function localArn(functionName: string): string {
  return `arn:aws:lambda:local:000000000000:function:${functionName}`;
}

async function answerOf<Event>(
  setup: FunctionSetup<Event>,
  event: Event,
  context: InvocationContext,
  limitMillis: number,
): Promise<Invocation["outcome"]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new Error(`Task timed out after ${setup.timeoutSeconds} seconds`);
    timer = setTimeout(() => reject(error), limitMillis);
  });
  try {
    const work = Promise.resolve().then(() => setup.handler(event, context));
    return { answer: await Promise.race([work, late]) };
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}
