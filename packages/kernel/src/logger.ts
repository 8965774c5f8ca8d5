/**
 * Structured logging. A line is one JSON object; fields never hold secrets or personal data (ids of
 * batches and requests are fine, user ids and event bodies are not).
 */
import type { Clock } from "./clock.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to each of its lines. */
  with(fields: LogFields): Logger;
}

const rank: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LogOptions {
  readonly clock: Clock;
  /** Receives one line without a line break. */
  readonly write: (line: string) => void;
  readonly level?: LogLevel;
}

export function jsonLogger(options: LogOptions, bound: LogFields = {}): Logger {
  const least = rank[options.level ?? "info"];
  const log = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    if (rank[level] < least) return;
    const time = new Date(options.clock.now()).toISOString();
    // The message comes first to be read, and last so that a field of that name cannot hide it.
    const line = Object.assign({ time, level, message }, bound, fields, { message });
    options.write(JSON.stringify(line, (_key, value: unknown) => plain(value)));
  };
  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    with: (fields) => jsonLogger(options, { ...bound, ...fields }),
  };
}

/** JSON cannot say an Error or a bigint by itself. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause } = value;
  return { name, message, stack, ...("code" in value ? { code: value.code } : {}), cause };
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLogger,
};
