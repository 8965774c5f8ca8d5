/**
 * `npm start`: a runtime with a console. A signal ends it in order, a second one at once (code 130);
 * a bug and the crash of a server end it in order too.
 */
import { ProcessEnd } from "./process-end.ts";
import { banner } from "./start-banner.ts";
import { type Environment, parseStartArguments, START_HELP } from "./start-options.ts";

/**
 * Returns when everything has ended; the caller then ends the process. Rejects with what is to be
 * said: an `AppError`, or a bug.
 */
export async function start(args: readonly string[], env: Environment): Promise<void> {
  const options = parseStartArguments(args, env);
  if (options === "help") {
    console.log(START_HELP);
    return;
  }
  const end = new ProcessEnd();
  end.listen(env.npm_lifecycle_event !== undefined);
  console.log(`Headrace starts on ${options.home}`);
  const notice = (line: string): void => console.log(`  ${line}`);
  let crash: Error | undefined;
  try {
    // Loaded here, so that wrong switches, --help and an early Ctrl-C are answered at once.
    const { startRuntime } = await import("./runtime.ts");
    const runtime = await startRuntime({ ...options, signal: end.signal, notice });
    end.isStarting = false;
    end.signal.addEventListener("abort", () => void runtime.stop());
    if (!end.signal.aborted) process.stdout.write(banner(runtime));
    else void runtime.stop();
    crash = await runtime.ended;
  } catch (error) {
    if (!end.signal.aborted) throw error;
  }
  const failure = end.failure ?? crash;
  if (failure !== undefined) throw failure;
  console.log("Headrace has ended; its data is kept");
}
