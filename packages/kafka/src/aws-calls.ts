/**
 * Calls to MSK's own API, with its answers of failure made ours. The SDK (half a megabyte) is loaded
 * by the first call; it repeats what was throttled or got no answer, three attempts in all.
 */
import type { KafkaClient } from "@aws-sdk/client-kafka";
import { invalid, unavailable } from "@headrace/kernel";
import { Trouble } from "./errors.ts";

type Msk = typeof import("@aws-sdk/client-kafka");

export interface AwsCall {
  /** Completes "… failed": `asking AWS for the brokers of …`. */
  readonly doing: string;
  /** What IAM has to allow. */
  readonly action: string;
  /** The error's code where the call got no usable answer. */
  readonly failed: string;
  readonly remedy: string;
}

/** In a VPC without a way out nobody answers: three attempts end within a call's 15 s. */
const TIMEOUTS = {
  connectionTimeout: 2_000,
  requestTimeout: 3_000,
  /** Without it a request that takes longer is only warned of. */
  throwOnRequestTimeout: true,
};

type Work<T> = (msk: Msk, client: KafkaClient) => Promise<T>;

/**
 * Throws `Trouble` where it may pass, else AppError. Undefined where AWS answers with the error that
 * is named `expected`.
 */
export function callMsk<T>(region: string, call: AwsCall, work: Work<T>): Promise<T>;
export function callMsk<T>(
  region: string,
  call: AwsCall,
  work: Work<T>,
  expected: string,
): Promise<T | undefined>;
export async function callMsk<T>(
  region: string,
  call: AwsCall,
  work: Work<T>,
  expected?: string,
): Promise<T | undefined> {
  const msk = await import("@aws-sdk/client-kafka");
  const client = new msk.KafkaClient({ region, requestHandler: TIMEOUTS });
  try {
    return await work(msk, client);
  } catch (error) {
    if (error instanceof Error && error.name === expected) return undefined;
    throw explain(error, call);
  } finally {
    client.destroy();
  }
}

const CREDENTIALS =
  /^(CredentialsProviderError|ExpiredToken(Exception)?|UnrecognizedClientException|UnauthorizedException|InvalidClientTokenId|InvalidSignatureException|SignatureDoesNotMatch|MissingAuthenticationToken(Exception)?)$/;
const FORBIDDEN = /^(ForbiddenException|AccessDenied(Exception)?)$/;
/** Repeating the same question brings the same answer. */
const FINAL = /^(BadRequestException|KafkaRequestException)$/;

function explain(error: unknown, { doing, action, failed, remedy }: AwsCall): Error {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const details = { cause: error };
  const text = `${doing} failed (${name}: ${message})`;
  if (CREDENTIALS.test(name))
    return unavailable(
      "kafka.unauthenticated",
      `${text}: give this process AWS credentials that are valid now`,
      details,
    );
  if (FORBIDDEN.test(name))
    return unavailable("kafka.unauthorized", `${text}: allow ${action} to this role`, details);
  if (name === "NotFoundException")
    return invalid(
      "kafka.cluster_unknown",
      `${text}: clusterArn must name a cluster of this account and region`,
      details,
    );
  if (FINAL.test(name)) return invalid("kafka.request_refused", text, details);
  const again = { ...details, retryAfterSeconds: 5 };
  return new Trouble(unavailable(failed, `${text}: try again later, or ${remedy}`, again));
}
