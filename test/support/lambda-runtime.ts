/**
 * The process of one deployed function, as Lambda's runtime for Node runs it: loads the file that
 * `_HANDLER` names from the task's root and hands it one event after the other.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";

interface Invocation {
  readonly event: unknown;
  readonly remainingMillis: number;
}

const [file = "", exported = ""] = (process.env._HANDLER ?? "").split(".");
const startedAt = performance.now();
let isFirst = true;

type Handler = (event: unknown, context: object) => Promise<unknown>;
const loading: Promise<Handler> = import(
  pathToFileURL(join(process.env.LAMBDA_TASK_ROOT ?? "", `${file}.mjs`)).href
).then((module) => module[exported]);
loading.catch(() => {}); // told with the first answer

process.on("message", ({ event, remainingMillis }: Invocation) => {
  void answer(event, remainingMillis).then((told) => process.send?.(told));
});

async function answer(event: unknown, remainingMillis: number): Promise<object> {
  const beganAt = isFirst ? startedAt : performance.now();
  isFirst = false;
  const endsAt = performance.now() + remainingMillis;
  const context = {
    awsRequestId: crypto.randomUUID(),
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    getRemainingTimeInMillis: () => Math.floor(Math.max(0, endsAt - performance.now())),
  };
  try {
    const handler = await loading;
    const result = await handler(event, context);
    // As text, as Lambda passes it on.
    return { result: JSON.stringify(result), millis: performance.now() - beganAt };
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    return { failure: { errorType: name, errorMessage: message, stack } };
  }
}
