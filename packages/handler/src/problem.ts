/**
 * Refusals as RFC 9457 problem documents: the one place where errors become HTTP statuses.
 *
 * Whatever is not an AppError and not a known trouble of the database is `bug.unexpected`; the
 * client learns of a bug nothing but its code, the log has the rest under the request id.
 */
import { STATUS_CODES } from "node:http";
import { AppError, bug, type ErrorKind, type Fault, unavailable } from "@headrace/kernel";
import { databaseError } from "./problem-database.ts";

/** A refusal that only HTTP knows: a status of its own and headers that explain it. */
export class HttpRefusal extends AppError {
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    headers: Readonly<Record<string, string>> = {},
    faults: readonly Fault[] = [],
  ) {
    super("invalid", code, detail, { status, faults });
    this.headers = headers;
  }
}

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly document: ProblemDocument;
}

export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** For a bad input: where (a JSON pointer) and what. */
  readonly errors?: readonly Fault[];
}

const statusOf: Record<ErrorKind, number> = {
  invalid: 400,
  not_found: 404,
  conflict: 409,
  unavailable: 503,
  bug: 500,
};
const RETRY_AFTER_SECONDS = 1;
/** Their messages are for operators and may name hosts. */
const innerParts: ReadonlySet<string> = new Set(["kafka", "database"]);
/** One bad array of 500 must not answer with megabytes. */
const MAX_FAULTS = 100;

/** What any thrown value is, once. */
export function asAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (thrown instanceof Error && thrown.name === "TimeoutError") {
    return unavailable("request.timeout", "the request took longer than it may", { cause: thrown });
  }
  return databaseError(thrown) ?? bug("bug.unexpected", "unforeseen", { cause: thrown });
}

export function problemOf(error: AppError): Problem {
  const status = error.status ?? statusOf[error.kind];
  const retryAfterSeconds =
    error.retryAfterSeconds ?? (error.kind === "unavailable" ? RETRY_AFTER_SECONDS : undefined);
  return {
    status,
    headers: {
      ...(error instanceof HttpRefusal ? error.headers : {}),
      ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
    },
    document: {
      type: `urn:headrace:problem:${error.code}`,
      title: STATUS_CODES[status] ?? "Error",
      status,
      code: error.code,
      detail: detailOf(error),
      ...errorsOf(error, status),
    },
  };
}

/** What a client may know: never a host, a query or a stack. */
function detailOf(error: AppError): string {
  const noun = error.code.split(".", 1)[0] ?? "";
  if (error.kind === "bug") {
    return "something went wrong here that should not; the log has it under this answer's x-request-id";
  }
  if (innerParts.has(noun)) return `the ${noun} cannot do this right now: try again later`;
  return error.message;
}

function errorsOf(error: AppError, status: number): { errors?: readonly Fault[] } {
  if (error.faults.length > 0) return { errors: error.faults.slice(0, MAX_FAULTS) };
  return status === 400 || status === 422 ? { errors: [{ path: "", message: error.message }] } : {};
}
