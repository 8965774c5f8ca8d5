/**
 * The environment that functions read, set for this process while a runtime is up and put back after.
 * In the cloud each function has its own; here they share one, so it names everything.
 */
import { roleUrl } from "@headrace/db";
import { forgetConfig } from "@headrace/handler";
import type { DevelopmentIssuer } from "./dev-issuer.ts";

/** Ten years, so that old files can be replayed (in the cloud it is 400 days). */
const HORIZON_DAYS = 3650;

export interface FunctionsEnvironment {
  readonly ownerUrl: string;
  readonly brokers: readonly string[];
  readonly issuer: DevelopmentIssuer;
}

/** Returns what puts the former environment back. */
export function enterEnvironment(of: FunctionsEnvironment): () => void {
  const values: Readonly<Record<string, string | undefined>> = {
    DATABASE_WORKER_URL: roleUrl(of.ownerUrl, "headrace_worker"),
    DATABASE_ORDERS_URL: roleUrl(of.ownerUrl, "headrace_orders"),
    DATABASE_REPORTS_URL: roleUrl(of.ownerUrl, "headrace_reports"),
    KAFKA_BROKERS: of.brokers.join(","),
    EVENT_HORIZON_DAYS: String(HORIZON_DAYS),
    ...of.issuer.environment,
    // Left over from work with a stage, these would contradict the values above.
    AUTH_JWKS_URL: undefined,
    AWS_LAMBDA_FUNCTION_NAME: undefined,
  };
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  assign(Object.entries(values));
  return () => assign(before);
}

function assign(values: readonly (readonly [string, string | undefined])[]): void {
  for (const [name, value] of values) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  forgetConfig();
}
