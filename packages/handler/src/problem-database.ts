/**
 * PostgreSQL's and its driver's troubles in Headrace's words: what passes when one tries again is
 * `unavailable`, what a request caused is `invalid`, and everything else stays unknown (a bug).
 */
import { type AppError, invalid, unavailable } from "@headrace/kernel";

interface Meaning {
  readonly code: string;
  readonly message: string;
  readonly retryAfterSeconds: number;
}

const busy: Meaning = {
  code: "database.busy",
  message: "the database has no room for another request right now",
  retryAfterSeconds: 1,
};
const away: Meaning = {
  code: "database.unavailable",
  message: "the database cannot be reached right now",
  retryAfterSeconds: 5,
};
const timeout: Meaning = {
  code: "report.timeout",
  message: "the query ran longer than it may and was cancelled: ask for less",
  retryAfterSeconds: 30,
};
const contended: Meaning = {
  code: "database.contended",
  message: "another transaction was in the way",
  retryAfterSeconds: 1,
};

/** By SQLSTATE, the longest prefix first. */
const states: readonly (readonly [prefix: string, meaning: Meaning])[] = [
  ["57014", timeout],
  ["53400", { ...timeout, message: "the query needed more disk than it may: ask for less" }],
  ["40", contended],
  ["55P03", contended],
  ["25P", contended],
  // A server that was the writing one before.
  ["25006", away],
  ["53", busy],
  ["57P", away],
  ["08", away],
  // The role, its password or the database is not there: an operator's matter, but it passes.
  ["28", away],
  ["3D000", away],
];

const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "ENOENT",
  "EAI_AGAIN",
  "EPIPE",
  "ETIMEDOUT",
]);

/** The driver gives these no code. */
const driverMessages: readonly (readonly [text: string, meaning: Meaning])[] = [
  ["timeout exceeded when trying to connect", busy],
  ["Query read timeout", timeout],
  ["Connection terminated", away],
  ["Client has encountered a connection error", away],
  ["Client was closed", away],
  ["Cannot use a pool after calling end", away],
  ["SASL: ", away],
  ["The server does not support SSL", away],
];

const BAD_TEXT = new Set(["22021", "22P05"]);

/** Undefined for what is neither the database's trouble nor a known one. */
export function databaseError(thrown: unknown): AppError | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const code = "code" in thrown ? String(thrown.code) : "";
  if (BAD_TEXT.has(code)) {
    return invalid("request.text", "a text holds what PostgreSQL cannot store (NUL)", {
      cause: thrown,
    });
  }
  const meaning =
    states.find(([prefix]) => isSqlState(code) && code.startsWith(prefix))?.[1] ??
    (networkCodes.has(code) ? away : undefined) ??
    driverMessages.find(([text]) => thrown.message.startsWith(text))?.[1];
  if (meaning === undefined) return undefined;
  const { retryAfterSeconds, message } = meaning;
  return unavailable(meaning.code, message, { cause: thrown, retryAfterSeconds });
}

/**
 * Whether the connection was lost, or a standby cancelled the query to go on replaying: a statement
 * that only reads may then be sent again.
 */
export function isWorthRepeating(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  const code = "code" in thrown ? String(thrown.code) : "";
  if (isSqlState(code)) return /^(40001|57P01|57P02|08)/.test(code);
  return (
    code === "ECONNRESET" ||
    code === "EPIPE" ||
    thrown.message === "Connection terminated unexpectedly" ||
    thrown.message.startsWith("Client has encountered a connection error")
  );
}

/** Whether an error's code is PostgreSQL's: a host's own have none that look so. */
export const isSqlState = (code: string): boolean => /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code);
