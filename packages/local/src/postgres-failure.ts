/**
 * Why a PostgreSQL server of our own did not start, told from its log, or cannot be used, told from
 * what its database answers; and what to do about it.
 */
import { AppError, conflict, unavailable } from "@headrace/kernel";
import { DatabaseError } from "pg";

const PORT_TAKEN = "postgres.port_taken";
const STILL_RUNNING = "postgres.still_running";

interface Reason {
  readonly pattern: RegExp;
  readonly error: (details: { data: string }) => AppError;
}

const REASONS: readonly Reason[] = [
  {
    pattern: /could not bind|Address already in use/,
    error: () =>
      conflict(PORT_TAKEN, "PostgreSQL's port is taken by another process. Choose another one."),
  },
  {
    pattern: /No space left on device|could not write .*: Disk quota/,
    error: ({ data }) =>
      unavailable(
        "postgres.disk_full",
        `The disk that holds ${data} is full. Free some space (nothing is lost) and start again.`,
      ),
  },
  {
    pattern:
      /could not (create|map|resize) .*(shared memory|semaphores)|Cannot allocate memory|out of memory/,
    error: () =>
      unavailable(
        "postgres.out_of_memory",
        "The machine has not enough free memory (or shared memory) for PostgreSQL. End other programs or other copies of Headrace and start again.",
      ),
  },
  {
    pattern: /pre-existing shared memory block|lock file "postmaster.pid" already exists/,
    error: ({ data }) =>
      conflict(
        STILL_RUNNING,
        `Processes of an earlier PostgreSQL still work in ${data}. Wait until they have ended, or end them (\`ps -ef | grep postgres\`), and start again.`,
      ),
  },
  {
    pattern: /wrong ownership|invalid permissions|Permission denied/,
    error: ({ data }) =>
      conflict(
        "postgres.wrong_owner",
        `${data} belongs to another account or was opened to others. Start as the user who made it, or begin with empty data: \`npm start -- --fresh\`.`,
      ),
  },
];

export function explainFailure(data: string, logFile: string, tail: string): AppError {
  const error = REASONS.find(({ pattern }) => pattern.test(tail))?.error({ data });
  const message =
    error?.message ??
    `PostgreSQL does not start from its data folder ${data}; the files are probably damaged. Put a backup in their place, or begin with empty data: \`npm start -- --fresh\`.`;
  const make = error?.kind === "conflict" ? conflict : unavailable;
  return make(
    error?.code ?? "postgres.not_started",
    `${message}\nThe end of its log (${logFile}):\n${tail || "(empty)"}`,
  );
}

export const portIsTaken = (error: AppError): boolean => error.code === PORT_TAKEN;
export const isStillRunning = (error: AppError): boolean => error.code === STILL_RUNNING;

export interface Server {
  readonly data: string;
  readonly logFile: string;
  readonly logTail: string;
}

/**
 * What the database of an own server answers to its owner's first questions, where the machine or the
 * data folder is the reason. Other errors come back as they are.
 */
export function explainAnswer(error: unknown, { data, logFile, logTail }: Server): unknown {
  const answer = databaseAnswer(error);
  if (answer === undefined) return error;
  const known = REASONS.some(({ pattern }) => pattern.test(answer.message));
  if (known) return explainFailure(data, logFile, answer.message);
  if (!isDamage(answer)) return error;
  const detail = answer.detail ? `; ${answer.detail}` : "";
  return unavailable(
    "postgres.damaged",
    `The data folder ${data} is damaged: PostgreSQL starts from it, and its database cannot be used (${answer.message}${detail}). Put a copy of the folder in its place, or begin with empty data: \`npm start -- --fresh\`.\nThe end of its log (${logFile}):\n${logTail || "(empty)"}`,
    { cause: error },
  );
}

/** Also where `explainDatabase` has told it as a database that cannot be used. */
function databaseAnswer(error: unknown): DatabaseError | undefined {
  const inner =
    error instanceof AppError && error.code === "database.unavailable" ? error.cause : error;
  return inner instanceof DatabaseError ? inner : undefined;
}

/** Classes of SQLSTATE: internal errors (corrupted data are among them) and errors of the system. */
const DAMAGE = /^(XX|58)/;
/** Credentials, resources, and a server that starts or ends. */
const NO_DAMAGE = /^(28|53|57)/;

/** A session is refused outright where what it needs from the start cannot be read. */
function isDamage({ code = "", severity }: DatabaseError): boolean {
  return DAMAGE.test(code) || (severity === "FATAL" && !NO_DAMAGE.test(code));
}
