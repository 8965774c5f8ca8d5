/**
 * The end of a process that has servers as children: begun by a signal, the loss of the parent or a
 * bug, in order; a second signal ends it at once (code 130), and so does an end that takes too long.
 */
import { childrenOf } from "./child-identity.ts";

/** Under npm one Ctrl-C arrives twice: from the terminal, and passed on by npm. */
const SAME_SIGNAL_MILLIS = 700;
/** From the signal to the end of the last process. */
const END_MILLIS = 9_700;
const FORCED = 130;
const PATIENCE_MILLIS = 2_000;
const PARENT_LOOK_MILLIS = 1_000;

/** What may begin the end: a signal, the loss of the parent, a bug. */
export class ProcessEnd {
  readonly #controller = new AbortController();
  #begunAt = Number.POSITIVE_INFINITY;
  /** Until everything answers. */
  isStarting = true;
  /** A bug that was the reason. */
  failure: Error | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  listen(endsWithParent: boolean): void {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(name, () => this.#signalled());
    process.on("uncaughtException", (error) => {
      this.failure ??= error;
      this.#begin();
    });
    // A terminal or a pipe that is gone is no reason to end, and nobody reads it.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
    // A parent, npm or sst, that is killed without a word (kill -9) takes only itself away.
    if (!endsWithParent) return;
    const parent = process.ppid;
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
