import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { forgetConfig, forgetWaking, kafkaHandler, wakePulse } from "@headrace/handler";
import { jsonLogger, silentLogger } from "@headrace/kernel";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { kafkaEvent } from "../support/kafka.ts";

const FUNCTION = "headrace-blue-Pulse";

interface Asked {
  readonly path: string | undefined;
  readonly type: string | string[] | undefined;
}

/** What was asked of Lambda's endpoint, and what it answers; undefined: nothing, ever. */
const asked: Asked[] = [];
let answer: ((response: ServerResponse) => void) | undefined;

const accepted = (response: ServerResponse): void => {
  response.writeHead(202, { "x-amzn-requestid": "11111111-2222-3333-4444-555555555555" }).end();
};
const refusing =
  (status: number, type: string, message: string) =>
  (response: ServerResponse): void => {
    response
      .writeHead(status, { "content-type": "application/json", "x-amzn-errortype": type })
      .end(JSON.stringify({ Type: "User", Message: message }));
  };

const lambda = createServer((request, response) => {
  asked.push({ path: request.url, type: request.headers["x-amz-invocation-type"] });
  request.resume().once("end", () => answer?.(response));
}).listen(0, "127.0.0.1");
await once(lambda, "listening");
const endpoint = `http://127.0.0.1:${(lambda.address() as AddressInfo).port}`;
afterAll(() => {
  lambda.closeAllConnections();
  lambda.close();
});

let clock = 0;
let lines: string[] = [];
const log = jsonLogger({ clock: { now: () => 0 }, write: (line) => lines.push(line) });
const wake = (more: { functionName?: string } = {}) =>
  wakePulse({ log, now: () => clock, functionName: FUNCTION, ...more });

beforeEach(() => {
  vi.stubEnv("AWS_ENDPOINT_URL_LAMBDA", endpoint);
  vi.stubEnv("AWS_REGION", "eu-central-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  forgetWaking();
  asked.length = 0;
  lines = [];
  answer = accepted;
});
afterEach(() => {
  vi.unstubAllEnvs();
  forgetConfig();
});

test("pulse is started without waiting for its end", async () => {
  await wake();
  expect(asked).toEqual([{ path: `/2015-03-31/functions/${FUNCTION}/invocations`, type: "Event" }]);
  expect(lines).toEqual([]);
});

test("pulse is started at most once a minute", async () => {
  await Promise.all([wake(), wake()]);
  clock += 59_999;
  await wake();
  expect(asked).toHaveLength(1);
  clock += 1;
  await wake();
  expect(asked).toHaveLength(2);
});

test.each([
  [
    "it is not there",
    refusing(404, "ResourceNotFoundException", "Function not found"),
    "ResourceNotFoundException",
  ],
  [
    "too many are started",
    refusing(429, "TooManyRequestsException", "Rate Exceeded."),
    "TooManyRequestsException",
  ],
  [
    "it may not be",
    refusing(403, "AccessDeniedException", "is not authorized to perform: lambda:InvokeFunction"),
    "AccessDeniedException",
  ],
  ["the connection breaks", (response: ServerResponse) => void response.destroy(), "ECONNRESET"],
])(
  "a start that fails is logged, asked once, and tried again ten seconds later: %s",
  async (_what, refuse, named) => {
    answer = refuse;
    await wake();
    expect(asked).toHaveLength(1);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "warn" });
    expect(lines[0]).toContain(named);
    clock += 9_999;
    await wake();
    expect(asked).toHaveLength(1);
    answer = accepted;
    clock += 1;
    await wake();
    expect(asked).toHaveLength(2);
    expect(lines).toHaveLength(1);
  },
);

test("an endpoint that does not answer holds a batch up for a second", async () => {
  answer = undefined;
  const startedAt = performance.now();
  await wake();
  const tookMillis = performance.now() - startedAt;
  expect(tookMillis).toBeGreaterThan(900);
  expect(tookMillis).toBeLessThan(2_000);
  expect(lines[0]).toContain("TimeoutError");
});

test("where no pulse is linked nothing is asked", async () => {
  await wakePulse({ log });
  expect([asked, lines]).toEqual([[], []]);
});

test("a Kafka function starts pulse once a partition has committed, and not when all have failed", async () => {
  vi.stubEnv("SST_RESOURCE_Pulse", JSON.stringify({ functionName: FUNCTION }));
  forgetConfig();
  const handler = kafkaHandler(
    async ({ partition }) => {
      expect(asked).toEqual([]);
      if (partition === 1) throw new Error("no good");
      return {};
    },
    { pool: () => undefined as never, log: silentLogger },
  );
  const context = { awsRequestId: "r", getRemainingTimeInMillis: () => 60_000 };
  await handler(kafkaEvent("t", { 1: ["a"] }) as never, context);
  expect(asked).toEqual([]);
  const { batchItemFailures } = await handler(
    kafkaEvent("t", { 0: ["a"], 1: ["a"] }) as never,
    context,
  );
  expect(batchItemFailures).toHaveLength(1);
  expect(asked).toHaveLength(1);
});
