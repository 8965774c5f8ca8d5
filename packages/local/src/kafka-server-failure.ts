/** Why a Kafka broker did not start, told from its log, and what to do about it. */
import { type AppError, conflict, unavailable } from "@headrace/kernel";

interface Reason {
  readonly pattern: RegExp;
  readonly code: string;
  readonly message: (folder: string) => string;
}

const PORT_TAKEN = /Address already in use|failed to bind/;

const REASONS: readonly Reason[] = [
  {
    pattern: /No space left on device|Disk quota exceeded/,
    code: "kafka.disk_full",
    message: (folder) =>
      `The disk that holds ${folder} is full. Free some space (nothing is lost) and start again.`,
  },
  {
    pattern: /OutOfMemoryError|Could not reserve enough space|Cannot allocate memory/,
    code: "kafka.out_of_memory",
    message: () =>
      "The machine has not enough free memory for Kafka (about 600 MB). End other programs or other copies of Headrace and start again.",
  },
  {
    pattern: /Failed to acquire lock on file/,
    code: "kafka.still_running",
    message: (folder) =>
      `Another Kafka still works in ${folder}. End it (\`ps -ef | grep kafka.Kafka\`) and start again.`,
  },
  {
    pattern: /Permission denied|AccessDenied/,
    code: "kafka.wrong_owner",
    message: (folder) =>
      `${folder} belongs to another account. Start as the user who made it, or begin with empty data: \`npm start -- --fresh\`.`,
  },
  {
    pattern: /ClassNotFoundException|NoClassDefFoundError|Could not find or load main class/,
    code: "kafka.jars_incomplete",
    message: () => "Kafka's jars are incomplete. Delete the folder HOME/jars and start again.",
  },
];

export const portWasTaken = (log: string): boolean => PORT_TAKEN.test(log);

export function portTaken(port: number): AppError {
  return conflict(
    "kafka.port_taken",
    `Port ${port}, asked for Kafka, is taken by another process. Choose another one.`,
  );
}

export function explainFailure(folder: string, logFile: string, log: string): AppError {
  const reason = REASONS.find(({ pattern }) => pattern.test(log));
  const message =
    reason?.message(folder) ??
    `Kafka does not start from its folder ${folder}; the files are probably damaged. Put a backup in their place, or begin with empty data: \`npm start -- --fresh\`.`;
  const tail = log.split("\n").slice(-12).join("\n");
  return unavailable(
    reason?.code ?? "kafka.not_started",
    `${message}\nThe end of its log (${logFile}):\n${tail || "(empty)"}`,
  );
}
