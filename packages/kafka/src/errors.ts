/**
 * The closed list of what can go wrong between us and a broker, and the one place where the client
 * library's and the broker's errors become ours.
 *
 *   kafka.brokers              invalid      no usable `host:port` was named
 *   kafka.unavailable          unavailable  no broker answered in time; a record may or may not be stored
 *   kafka.queue_full           unavailable  too many bytes wait to be sent already
 *   kafka.topic_unknown        unavailable  the topic (or partition) does not exist, yet
 *   kafka.version_unsupported  unavailable  the broker is older than Kafka 3.1
 *   kafka.auth, .ca, .cluster, .tls  invalid  a setting that cannot be right
 *   kafka.unauthenticated      unavailable  no credentials, or a broker or AWS does not take them
 *   kafka.unauthorized         unavailable  they are taken, and do not allow what was asked
 *   kafka.untrusted            unavailable  the broker's certificate is not one that we trust
 *   kafka.auth_not_offered     invalid      the cluster has no brokers for this way of signing in
 *   kafka.cluster_unknown      invalid      AWS knows no such cluster
 *   kafka.request_refused      invalid      AWS finds what was asked of it wrong
 *   kafka.brokers_unknown      unavailable  AWS did not say where the cluster's brokers are
 *   kafka.group_in_use         conflict     consumers have joined the group that we commit for
 *   kafka.topic_has_fewer_partitions  conflict  the topic exists, smaller than asked for
 *   kafka.record_too_large     invalid      the record is over the topic's limit
 *   kafka.record_refused       invalid      the broker finds the record or the setting wrong
 *   kafka.partition_unknown    invalid      a record names a partition that its topic lacks
 *   kafka.batch_unreadable     bug          a stored batch is not of a format that we read
 *   kafka.refused              unavailable  any other answer that is an error
 *   kafka.closed               bug          used after `close`
 */
import { AppError, conflict, type ErrorKind, invalid, unavailable } from "@headrace/kernel";
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

/** Trouble that may pass by itself, and what to show should it not. Stays inside this package. */
export class Trouble extends Error {
  readonly shown: AppError;

  constructor(shown: AppError) {
    super(shown.message, { cause: shown.cause });
    this.shown = shown;
  }
}

/** Throws unless `code` is 0. */
export function accept(code: number, detail?: string | null): void {
  if (code !== 0) throw new BrokerRefusal(code, detail);
}

/** Asking again may help: the network failed, or the broker said so. */
export function isPassing(error: unknown): boolean {
  if (error instanceof BrokerRefusal) return error.passing;
  return error instanceof Trouble || isNetworkError(error);
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
  TOPIC_AUTHORIZATION_FAILED: ["unavailable", "kafka.unauthorized"],
  GROUP_AUTHORIZATION_FAILED: ["unavailable", "kafka.unauthorized"],
  CLUSTER_AUTHORIZATION_FAILED: ["unavailable", "kafka.unauthorized"],
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: ["unavailable", "kafka.unauthorized"],
  UNKNOWN_MEMBER_ID: ["conflict", "kafka.group_in_use"],
  ILLEGAL_GENERATION: ["conflict", "kafka.group_in_use"],
};

/** What to grant, in Kafka's words and in IAM's. */
const GRANTS: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED:
    "grant it on the topic (ACL Describe, and Read, Write, Create or Alter; IAM kafka-cluster:DescribeTopic, and ReadData, WriteData, CreateTopic or AlterTopic)",
  GROUP_AUTHORIZATION_FAILED:
    "grant it on the group (ACL Describe and Read; IAM kafka-cluster:DescribeGroup and AlterGroup)",
  CLUSTER_AUTHORIZATION_FAILED:
    "grant it on the cluster (ACL IdempotentWrite or Create; IAM kafka-cluster:WriteDataIdempotently or CreateTopic)",
};

/**
 * The error to show across the package's door. `doing` completes "Kafka failed at …", as in
 * `writing to topic "events"`.
 */
export function toAppError(error: unknown, doing: string, brokers: readonly string[]): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Trouble) return error.shown;
  const list = brokers.join(", ");
  const details = { cause: error };
  if (error instanceof BrokerRefusal) {
    const [kind, code] = REFUSALS[error.id] ?? (["unavailable", "kafka.refused"] as const);
    const remedy = GRANTS[error.id] === undefined ? "" : `; ${GRANTS[error.id]}`;
    const text = `Kafka (${list}) refused ${doing}: ${error.message}${remedy}`;
    return new AppError(kind, code, text, details);
  }
  if (isNetworkError(error)) return unanswered(doing, brokers, error);
  if (chain(error).some((one) => /requires TLS/.test(one.message)))
    return invalid("kafka.tls", `Kafka (${list}) lets nobody in without TLS: set tls`, details);
  const message = error instanceof Error ? error.message : String(error);
  return new AppError("unavailable", "kafka.refused", `${doing} failed: ${message}`, details);
}

/** `cause` is the last trouble before time ran out; one that says by itself what is wrong is shown. */
export function unanswered(doing: string, brokers: readonly string[], cause?: unknown): AppError {
  if (cause instanceof Trouble) return cause.shown;
  const last = cause instanceof Error ? ` (last: ${lastCause(cause)})` : "";
  const message = `Kafka did not answer in time at ${brokers.join(", ")} while ${doing}${last}`;
  return new AppError("unavailable", "kafka.unavailable", message, { cause, retryAfterSeconds: 5 });
}

export function hasFewerPartitions(topic: string, there: number, wanted: number): AppError {
  return conflict(
    "kafka.topic_has_fewer_partitions",
    `topic "${topic}" exists with ${there} partitions, ${wanted} are wanted; more would move keys to other partitions`,
  );
}

/** The innermost message tells most: "connect ECONNREFUSED 127.0.0.1:9092". */
function lastCause(error: Error): string {
  return chain(error).at(-1)?.message ?? error.message;
}

/** The error and what caused it, the innermost last; of an error with several parts, the first. */
export function chain(error: unknown): readonly Error[] {
  const found: Error[] = [];
  for (let at: unknown = error; at instanceof Error && found.length < 10; ) {
    found.push(at);
    at = at instanceof AggregateError ? (at.errors[0] ?? at.cause) : at.cause;
  }
  return found;
}

const codeOf = (error: Error): unknown => ("code" in error ? error.code : undefined);

/** The other side refused to let us sign in, as opposed to a connection that broke meanwhile. */
export function isRefusedSignIn(error: unknown): boolean {
  const codes = chain(error).map(codeOf);
  const refusedAt = codes.lastIndexOf("PLT_KFK_AUTHENTICATION");
  return refusedAt !== -1 && codes.lastIndexOf("PLT_KFK_NETWORK") < refusedAt;
}

const UNTRUSTED = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH)/;

/**
 * What to throw where no connection was made: where another attempt would end the same, an error that
 * says why. `remedy` is for credentials that were refused.
 */
export function notConnected(error: unknown, address: string, remedy: string): unknown {
  const causes = chain(error);
  const trouble = causes.find((one) => one instanceof Trouble);
  if (trouble !== undefined) return trouble;
  const reason = causes.at(-1)?.message ?? "";
  if (isRefusedSignIn(error))
    return unavailable(
      "kafka.unauthenticated",
      `Kafka at ${address} did not let us sign in (${serverMessage(causes) ?? reason}): ${remedy}`,
      { cause: error },
    );
  if (causes.some((one) => UNTRUSTED.test(String(codeOf(one)))))
    return unavailable(
      "kafka.untrusted",
      `Kafka's certificate at ${address} is not trusted (${reason}): set tls.ca to the PEM of its authority`,
      { cause: error },
    );
  return error;
}

function serverMessage(causes: readonly Error[]): string | undefined {
  for (const cause of causes)
    if ("serverErrorMessage" in cause && typeof cause.serverErrorMessage === "string")
      return cause.serverErrorMessage;
  return undefined;
}
