/** One call of `send`: what is known of its records so far, and the promise that its caller holds. */
import type { AppError } from "@headrace/kernel";
import type { RecordPosition } from "./record.ts";

export class SendCall {
  readonly outcome: Promise<readonly RecordPosition[]>;
  readonly #positions: RecordPosition[] = [];
  readonly #settle: PromiseWithResolvers<readonly RecordPosition[]>;
  readonly #timer: NodeJS.Timeout;
  #open: number;
  #failure: unknown;
  #trouble: unknown;
  #over = false;

  /** After `timeoutMs` the call rejects with `late(…)`, given the last trouble that was noted. */
  constructor(records: number, timeoutMs: number, late: (trouble: unknown) => AppError) {
    this.#open = records;
    this.#settle = Promise.withResolvers();
    this.outcome = this.#settle.promise;
    // Whoever waits sees the rejection; where nobody does (yet), it must not end the process.
    this.outcome.catch(() => undefined);
    this.#timer = setTimeout(() => this.abandon(late(this.#trouble)), timeoutMs);
  }

  /** Its caller has been answered; nothing that happens to its records matters any more. */
  get isOver(): boolean {
    return this.#over;
  }

  stored(slot: number, position: RecordPosition): void {
    this.#positions[slot] = position;
    this.#close();
  }

  refused(error: AppError): void {
    this.#failure ??= error;
    this.#close();
  }

  /** Something that will be tried again; told to the caller only if time runs out. */
  note(trouble: unknown): void {
    this.#trouble = trouble;
  }

  abandon(error: unknown): void {
    if (this.#over) return;
    this.#end();
    this.#settle.reject(error);
  }

  #close(): void {
    this.#open--;
    if (this.#open > 0 || this.#over) return;
    this.#end();
    if (this.#failure === undefined) this.#settle.resolve(this.#positions);
    else this.#settle.reject(this.#failure);
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }
}
