/** A command's frame: its process's streams, signals and exit code. */
import type { Surroundings } from "./replay/run-replay.ts";

/** `run` returns the exit code. */
export async function runAsCommand(
  run: (args: readonly string[], around: Surroundings) => Promise<number>,
): Promise<void> {
  const interruption = new AbortController();
  process.once("SIGINT", () => interruption.abort());
  process.once("SIGTERM", () => interruption.abort());
  // A reader such as `head` that has seen enough is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  process.exitCode = await run(process.argv.slice(2), {
    env: process.env,
    stdin: () => process.stdin,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    errIsTerminal: process.stderr.isTTY === true,
    clock: { now: () => Date.now() },
    signal: interruption.signal,
  });
}
