/** `npm run load` from its arguments to its exit code. */
import { resolve } from "node:path";
import { AppError } from "@headrace/kernel";
import { type InputFile, openInput } from "../replay/input-file.ts";
import { ProgressDisplay, ratePerSecond } from "../replay/progress-display.ts";
import type { Surroundings } from "../replay/run-replay.ts";
import { type Environment, findApi } from "../replay/running-system.ts";
import { dimensionSender } from "./dimension-api.ts";
import { LOAD_HELP, type LoadArguments, readLoadArguments } from "./load-arguments.ts";
import { type LoadTotals, loadFile } from "./load-file.ts";

const LOADED = 0;
const FAILED = 1;
const WRONG_ARGUMENTS = 2;
const INTERRUPTED = 130;

/** The exit code (see LOAD_HELP). Throws only what is a fault of this program. */
export async function runLoad(argv: readonly string[], around: Surroundings): Promise<number> {
  try {
    const args = readLoadArguments(argv);
    if (args === "help") {
      around.out(LOAD_HELP);
      return LOADED;
    }
    const file = await openInput(filePath(args.path, around.env), around.stdin);
    try {
      return await load(args, file, around);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!(error instanceof AppError) || error.kind === "bug") throw error;
    around.err(`load: ${error.message}\n`);
    return error.code === "load.arguments" ? WRONG_ARGUMENTS : FAILED;
  }
}

/** npm runs scripts in the repository, wherever it was called. */
function filePath(path: string, env: Environment): string {
  const calledFrom = env.npm_lifecycle_event === "load" ? env.INIT_CWD : undefined;
  return path === "-" ? path : resolve(calledFrom ?? ".", path);
}

async function load(
  { name, home }: LoadArguments,
  file: InputFile,
  { env, out, err, errIsTerminal, clock, signal }: Surroundings,
): Promise<number> {
  const api = await findApi(
    home === undefined ? env : { ...env, HEADRACE_HOME: filePath(home, env) },
  );
  const display = new ProgressDisplay({
    write: err,
    isTerminal: errIsTerminal,
    totalBytes: file.bytes,
    clock,
  });
  const startedAt = clock.now();
  let loaded = 0;
  try {
    const totals = await loadFile({
      file,
      name,
      send: dimensionSender(api, name, signal),
      signal,
      onProgress: (so) => {
        loaded = so.loaded;
        display.sending({ ...so, sent: so.loaded });
      },
      onIgnored: (columns) => err(`left out: ${columns.join(", ")}\n`),
    });
    display.clear();
    const millis = clock.now() - startedAt;
    const rate = ratePerSecond(totals.loaded, millis);
    err(`${totals.loaded} ${name} in ${(millis / 1000).toFixed(1)} s, ${rate}/s\n`);
    out(`${badLinesText(totals)}loaded ${totals.loaded}, bad lines ${totals.badLines}\n`);
    if (signal.aborted) return INTERRUPTED;
    return totals.loaded === 0 && totals.badLines > 0 ? FAILED : LOADED;
  } catch (error) {
    display.clear();
    if (signal.aborted) return INTERRUPTED;
    if (!(error instanceof AppError) || loaded === 0) throw error;
    const message = `${error.message}. ${loaded} ${name} were stored before; the same command again changes nothing of them.`;
    throw new AppError(error.kind, error.code, message, { cause: error });
  }
}

function badLinesText({ badLines, firstBadLines }: LoadTotals): string {
  if (badLines === 0) return "";
  const told = firstBadLines.map(({ line, reason }) => `  line ${line}: ${reason}\n`).join("");
  const more = badLines - firstBadLines.length;
  return `bad lines:\n${told}${more > 0 ? `  and ${more} more\n` : ""}`;
}
