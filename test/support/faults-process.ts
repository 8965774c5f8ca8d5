/** The ingest function in a process of its own, to be stopped, continued and killed at will. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { KafkaResult } from "@headrace/handler";
import { onTestFinished } from "vitest";
import type { LambdaKafkaEvent } from "./kafka.ts";

const PROGRAM = join(import.meta.dirname, "../faults/ingest-child.ts");

type Answer = PromiseWithResolvers<KafkaResult>;

export class IngestProcess {
  readonly #child: ChildProcess;
  readonly #open = new Map<number, Answer>();
  #asked = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", ({ id, result }: { readonly id: number; readonly result: KafkaResult }) => {
      this.#open.get(id)?.resolve(result);
      this.#open.delete(id);
    });
    child.on("exit", () => {
      for (const { reject } of this.#open.values()) reject(new Error("the process is gone"));
    });
  }

  /** Ready when it resolves; killed after the test. */
  static async start(workerUrl: string): Promise<IngestProcess> {
    const child = fork(PROGRAM, {
      env: { ...process.env, DATABASE_WORKER_URL: workerUrl, LOG_LEVEL: "error" },
      execArgv: [],
      // It logs the failures that are wanted here.
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    await once(child, "message");
    return new IngestProcess(child);
  }

  /** The handler's answer; rejects when the process is gone first. */
  ingest(event: LambdaKafkaEvent): Promise<KafkaResult> {
    this.#asked += 1;
    const answer = Promise.withResolvers<KafkaResult>();
    this.#open.set(this.#asked, answer);
    this.#child.send({ id: this.#asked, event });
    // Who asked may have failed, and not be there to hear of it.
    answer.promise.catch(() => {});
    return answer.promise;
  }

  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  goOn(): void {
    this.#child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}
