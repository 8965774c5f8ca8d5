/** A command's frame: what it throws becomes a message for a person and the exit code. */
import { AppError } from "@headrace/kernel";

/** Ends the process: 0, or 1 where something failed, or 2 for wrong arguments. */
export async function runCommand(work: () => Promise<void>): Promise<never> {
  try {
    await work();
  } catch (error) {
    const isArguments = error instanceof AppError && error.code.endsWith(".arguments");
    // What is no AppError is a bug, whose place matters.
    console.error(error instanceof AppError ? `\n${error.message}` : error);
    process.exit(isArguments ? 2 : 1);
  }
  process.exit(0);
}
