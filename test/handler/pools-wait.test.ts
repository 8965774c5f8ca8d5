import {
  closePools,
  forgetConfig,
  httpHandler,
  type Purpose,
  pool,
  route,
} from "@headrace/handler";
import { afterEach, expect, test, vi } from "vitest";
import { z } from "zod";

afterEach(async () => {
  await closePools();
  vi.unstubAllEnvs();
  forgetConfig();
});

function waitOf(purpose: Purpose, functionName: string): number | undefined {
  vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", functionName);
  vi.stubEnv(`DATABASE_${purpose.toUpperCase()}_URL`, "postgresql://nobody@127.0.0.1:1/nowhere");
  forgetConfig();
  return pool(purpose).options.connectionTimeoutMillis;
}

test.each([
  ["worker", 45_000],
  ["owner", 90_000],
  ["orders", 2_000],
  ["reports", 2_000],
] as const)("a deployed function waits for a connection of %s for %i ms", (purpose, expected) => {
  expect(waitOf(purpose, "headrace-blue")).toBe(expected);
});

test("a machine of one's own waits 2 s for each, whose database does not sleep", () => {
  expect(waitOf("worker", "")).toBe(2_000);
  expect(waitOf("owner", "")).toBe(2_000);
});

// Last: what a process answers, it answers for good.
test("behind a request nobody waits longer than 2 s, whatever the purpose", () => {
  httpHandler({
    "POST /again": route({ scope: "public", pool: "worker", answer: z.unknown() }, () => null),
  });
  expect(waitOf("worker", "headrace-blue")).toBe(2_000);
});
