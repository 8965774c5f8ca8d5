/**
 * The closed list of what can go wrong between us and a broker, and the one place where the client
 * library's and the broker's errors become ours.
 *
 *   kafka.brokers              invalid      no usable `host:port` was named
 *   kafka.unavailable          unavailable  no broker answered in time; a record may or may not be stored
 *   kafka.queue_full           unavailable  too many bytes wait to be sent already
 *   kafka.topic_unknown        unavailable  the topic (or partition) does not exist, yet
 *   kafka.version_unsupported  unavailable  the broker is older than Kafka 3.1
 *   kafka.forbidden            unavailable  the broker does not let us
 *   kafka.group_in_use         conflict     consumers have joined the group that we commit for
 *   kafka.topic_has_fewer_partitions  conflict  the topic exists, smaller than asked for
 *   kafka.record_too_large     invalid      the record is over the topic's limit
 *   kafka.record_refused       invalid      the broker finds the record or the setting wrong
 *   kafka.partition_unknown    invalid      a record names a partition that its topic lacks
 *   kafka.batch_unreadable     bug          a stored batch is not of a format that we read
 *   kafka.refused              unavailable  any other answer that is an error
 *   kafka.closed               bug          used after `close`
 */
import { AppError, type ErrorKind } from "@headrace/kernel";
import { findErrorBy, protocolErrors, protocolErrorsCodesById } from "@platformatic/kafka";

/** An error code in a broker's answer. Stays inside this package. */
export class BrokerRefusal extends Error {
  readonly id: string;
  /** Asking again, perhaps elsewhere, can succeed. */
  readonly passing: boolean;

  constructor(code: number, detail?: string | null) {
    const id = protocolErrorsCodesById[code] ?? `ERROR_${code}`;
    const known = protocolErrors[id];
    super(detail ? `${id}: ${detail}` : `${id}: ${known?.message ?? "unknown to this client"}`);
    this.id = id;
    this.passing = known?.canRetry ?? false;
  }
}

/** Throws unless `code` is 0. */
export function accept(code: number, detail?: string | null): void {
  if (code !== 0) throw new BrokerRefusal(code, detail);
}

/** Asking again may help: the network failed, or the broker said so. */
export function isPassing(error: unknown): boolean {
  if (error instanceof BrokerRefusal) return error.passing;
  return isNetworkError(error);
}

/** No answer arrived: what was asked may or may not have been done. */
export function isNetworkError(error: unknown): boolean {
  return error instanceof Error && findErrorBy(error, "code", "PLT_KFK_NETWORK") !== null;
}

const REFUSALS: Readonly<Record<string, readonly [ErrorKind, string]>> = {
  UNKNOWN_TOPIC_OR_PARTITION: ["unavailable", "kafka.topic_unknown"],
  UNKNOWN_TOPIC_ID: ["unavailable", "kafka.topic_unknown"],
  INVALID_TOPIC_EXCEPTION: ["invalid", "kafka.record_refused"],
  MESSAGE_TOO_LARGE: ["invalid", "kafka.record_too_large"],
  RECORD_LIST_TOO_LARGE: ["invalid", "kafka.record_too_large"],
  INVALID_RECORD: ["invalid", "kafka.record_refused"],
  INVALID_TIMESTAMP: ["invalid", "kafka.record_refused"],
  CORRUPT_MESSAGE: ["invalid", "kafka.record_refused"],
  INVALID_CONFIG: ["invalid", "kafka.record_refused"],
  INVALID_PARTITIONS: ["invalid", "kafka.record_refused"],
  INVALID_REPLICATION_FACTOR: ["invalid", "kafka.record_refused"],
  POLICY_VIOLATION: ["invalid", "kafka.record_refused"],
  UNSUPPORTED_VERSION: ["unavailable", "kafka.version_unsupported"],
  TOPIC_AUTHORIZATION_FAILED: ["unavailable", "kafka.forbidden"],
  GROUP_AUTHORIZATION_FAILED: ["unavailable", "kafka.forbidden"],
  CLUSTER_AUTHORIZATION_FAILED: ["unavailable", "kafka.forbidden"],
  SASL_AUTHENTICATION_FAILED: ["unavailable", "kafka.forbidden"],
  UNKNOWN_MEMBER_ID: ["conflict", "kafka.group_in_use"],
  ILLEGAL_GENERATION: ["conflict", "kafka.group_in_use"],
};

/**
 * The error to show across the package's door. `doing` completes "Kafka failed at …", as in
 * `writing to topic "events"`.
 */
export function toAppError(error: unknown, doing: string, brokers: readonly string[]): AppError {
  if (error instanceof AppError) return error;
  const list = brokers.join(", ");
  const details = { cause: error };
  if (error instanceof BrokerRefusal) {
    const [kind, code] = REFUSALS[error.id] ?? (["unavailable", "kafka.refused"] as const);
    return new AppError(kind, code, `Kafka (${list}) refused ${doing}: ${error.message}`, details);
  }
  if (isNetworkError(error)) return unanswered(doing, brokers, error);
  const message = error instanceof Error ? error.message : String(error);
  return new AppError("unavailable", "kafka.refused", `${doing} failed: ${message}`, details);
}

export function unanswered(doing: string, brokers: readonly string[], cause?: unknown): AppError {
  const last = cause instanceof Error ? ` (last: ${lastCause(cause)})` : "";
  const message = `Kafka did not answer in time at ${brokers.join(", ")} while ${doing}${last}`;
  return new AppError("unavailable", "kafka.unavailable", message, { cause, retryAfterSeconds: 5 });
}

/** The innermost message tells most: "connect ECONNREFUSED 127.0.0.1:9092". */
function lastCause(error: Error): string {
  let inner = error;
  while (inner.cause instanceof Error) inner = inner.cause;
  return inner.message;
}
