/**
 * The one error type that crosses a package door. `kind` decides what happens next (HTTP status,
 * retry or dead letter), `code` is stable and machine-readable (`noun.reason`), `message` says to a
 * person what is wrong and what to do.
 */
export type ErrorKind = "invalid" | "not_found" | "conflict" | "unavailable" | "bug";

/** One fault of a bad input: where it is (`/items/0/amount`, a JSON pointer) and what is wrong. */
export interface Fault {
  readonly path: string;
  readonly message: string;
}

export interface ErrorDetails {
  readonly faults?: readonly Fault[];
  readonly cause?: unknown;
  /** Seconds after which a retry makes sense; becomes `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** An HTTP status finer than the kind's own (401, 405, 413 …). */
  readonly status?: number;
}

export class AppError extends Error {
  override readonly name = "AppError";
  readonly kind: ErrorKind;
  readonly code: string;
  readonly faults: readonly Fault[];
  readonly retryAfterSeconds: number | undefined;
  readonly status: number | undefined;

  constructor(kind: ErrorKind, code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.code = code;
    this.faults = details.faults ?? [];
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.status = details.status;
  }
}

type Maker = (code: string, message: string, details?: ErrorDetails) => AppError;
const maker =
  (kind: ErrorKind): Maker =>
  (code, message, details) =>
    new AppError(kind, code, message, details);

export const invalid = maker("invalid");
export const notFound = maker("not_found");
export const conflict = maker("conflict");
export const unavailable = maker("unavailable");
export const bug = maker("bug");
