/** What an error of the start says to do, for a stage of `sst dev` instead of `npm start`. */
import { DEV_PORT_VARIABLE } from "@headrace/capacity";
import { AppError, conflict } from "@headrace/kernel";
import type { Settled } from "./runtime-servers.ts";

/** Far enough from the other stage's two ports. */
const PORTS_APART = 10;

/** `folder` holds the stage's data. What is no AppError comes back as it is. */
export function withDevRemedy(error: unknown, settled: Settled, folder: string): unknown {
  if (!(error instanceof AppError)) return error;
  const cause = { cause: error };
  if (error.code.endsWith(".port_taken"))
    return conflict("dev.port_in_use", portInUse(error, settled), cause);
  switch (error.code) {
    case "home.in_use":
      return conflict(
        "dev.running",
        `sst dev runs already for this stage (${folder}): stop that one first`,
        cause,
      );
    case "postgres.other_password":
      return conflict(
        "dev.other_stage",
        `The data in ${folder} was made for an earlier stage of this name, with another password. Delete that folder to begin with empty data.`,
        cause,
      );
    default:
      return withoutSwitches(error, folder);
  }
}

function portInUse({ code }: AppError, { postgresPort, kafkaPort }: Settled): string {
  const [name, port] = code.startsWith("kafka")
    ? ["Kafka", kafkaPort]
    : ["PostgreSQL", postgresPort];
  return `Port ${port}, where this stage looks for ${name}, is in use, perhaps by the sst dev of another stage. Stop that one, or start this one on other ports: ${DEV_PORT_VARIABLE}=${postgresPort + PORTS_APART} npm run dev`;
}

/** `npm start -- --fresh` would empty other data than the stage's; `sst dev` has no such switches. */
function withoutSwitches(error: AppError, folder: string): AppError {
  const message = error.message
    .replaceAll("`npm start -- --fresh`", `delete ${folder}`)
    .replaceAll("--home DIR", "HEADRACE_HOME=DIR");
  if (message === error.message) return error;
  return new AppError(error.kind, error.code, message, { cause: error });
}
