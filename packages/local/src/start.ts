/**
 * `npm start`: a runtime with a console. A signal ends it in order, a second one at once (code 130);
 * a bug and the crash of a server end it in order too.
 */
import { childrenOf } from "./child-identity.ts";
import { banner } from "./start-banner.ts";
import { type Environment, parseStartArguments, START_HELP } from "./start-options.ts";

/** Under npm one Ctrl-C arrives twice: from the terminal, and passed on by npm. */
const SAME_SIGNAL_MILLIS = 700;
/** From the signal to the end of the last process. */
const END_MILLIS = 9_700;
const FORCED = 130;
const PATIENCE_MILLIS = 2_000;
const PARENT_LOOK_MILLIS = 1_000;

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
  const end = new End();
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

/** What may begin the end: a signal, the loss of the parent, a bug. */
class End {
  readonly #controller = new AbortController();
  #begunAt = Number.POSITIVE_INFINITY;
  /** Until everything answers. */
  isStarting = true;
  /** A bug that was the reason. */
  failure: Error | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  listen(hasNpmAsParent: boolean): void {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(name, () => this.#signalled());
    process.on("uncaughtException", (error) => {
      this.failure ??= error;
      this.#begin();
    });
    // A terminal or a pipe that is gone is no reason to end, and nobody reads it.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
    // npm that is killed without a word (kill -9) takes only itself away.
    const parent = process.ppid;
    if (!hasNpmAsParent) return;
    setInterval(() => process.ppid !== parent && this.#begin(), PARENT_LOOK_MILLIS).unref();
  }

  #signalled(): void {
    if (performance.now() - this.#begunAt > SAME_SIGNAL_MILLIS) force("ended at once, as asked");
    if (this.#begin()) console.log("\nending everything in order; Ctrl-C again ends it at once");
  }

  #begin(): boolean {
    if (this.signal.aborted) return false;
    this.#begunAt = performance.now();
    // A server's start, or Kafka's download, may go on for longer than the end may take.
    setTimeout(() => this.isStarting && signalChildren("SIGTERM"), PATIENCE_MILLIS).unref();
    setTimeout(
      () => force(`not everything ended within ${END_MILLIS / 1000} s`),
      END_MILLIS,
    ).unref();
    this.#controller.abort();
    return true;
  }
}

/** The servers recover at the next start; their data is safe. */
function force(why: string): never {
  console.error(why);
  signalChildren("SIGKILL");
  process.exit(FORCED);
}

function signalChildren(signal: NodeJS.Signals): void {
  for (const child of childrenOf(process.pid)) {
    try {
      process.kill(child, signal);
    } catch {
      // it ended by itself
    }
  }
}
