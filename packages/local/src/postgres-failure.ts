/** Why a PostgreSQL server did not start, told from its log, and what to do about it. */
import { type AppError, conflict, unavailable } from "@headrace/kernel";

const PORT_TAKEN = "postgres.port_taken";

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
        "postgres.still_running",
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
