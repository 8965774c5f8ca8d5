/**
 * The process's logger: JSON lines on standard output of a deployed function (where its log is read
 * from), on standard error elsewhere, so that what a command prints stays its own.
 *
 * An error's message may quote what a client sent (`invalid input syntax for type uuid: "…"`), so
 * errors are logged without what PostgreSQL quotes from data.
 */
import { type Clock, jsonLogger, type Logger, type LogLevel } from "@headrace/kernel";
import { config } from "./config.ts";
import { servedRequestId } from "./invocation.ts";

export const systemClock: Clock = { now: () => Date.now() };

let shared: Logger | undefined;

/** Made at its first use, so that the environment may be set before. */
export function logger(): Logger {
  shared ??= createLogger(settings());
  return shared;
}

/**
 * Puts another logger in its place, undefined the standard one again: for the local runtime, whose
 * console is a person's. A logger that somebody holds already stays what it is.
 */
export function useLogger(other: Logger | undefined): void {
  shared = other;
}

export interface LogSettings {
  readonly level: LogLevel;
  readonly deployed: boolean;
}

export function createLogger({ level, deployed }: LogSettings): Logger {
  const stream = deployed ? process.stdout : process.stderr;
  const options = { clock: systemClock, level, write: (line: string) => stream.write(`${line}\n`) };
  return jsonLogger(options, {
    // Read for each line, for those that belong to no request.
    get requestId() {
      return servedRequestId();
    },
  });
}

/** A wrong configuration must still be logged. */
function settings(): LogSettings {
  try {
    const { logLevel, deployed } = config();
    return { level: logLevel, deployed };
  } catch {
    return { level: "info", deployed: process.env.AWS_LAMBDA_FUNCTION_NAME !== undefined };
  }
}

/** SQLSTATE classes whose messages quote the data: 22 data exception, 23 constraint violation. */
const QUOTES_DATA = /^2[23]/;

/** What of a thrown value may stand in a log: names, codes, messages without data, the stack. */
export function loggable(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return typeof thrown;
  const code = "code" in thrown ? String(thrown.code) : undefined;
  const message = QUOTES_DATA.test(code ?? "") ? "(quotes data)" : thrown.message;
  return {
    name: thrown.name,
    ...(code === undefined ? {} : { code }),
    message,
    stack: (thrown.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line)),
    ...(thrown.cause === undefined || depth > 4
      ? {}
      : { cause: loggable(thrown.cause, depth + 1) }),
  };
}
