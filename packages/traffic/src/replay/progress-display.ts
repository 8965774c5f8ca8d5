/** Tells how a replay gets on: a bar that is drawn over and over on a terminal, else a line now and then. */
import type { Clock } from "@headrace/kernel";

export interface DisplayOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  /** Of the whole file. */
  readonly totalBytes: number;
  readonly clock: Clock;
}

export interface Shown {
  readonly bytes: number;
  readonly sent: number;
  readonly badLines: number;
}

const DRAW_EVERY_MS = 100;
const LINE_EVERY_MS = 5_000;
const BAR_CELLS = 24;
const CLEAR_LINE = "\r\u001b[2K";

export class ProgressDisplay {
  readonly #options: DisplayOptions;
  readonly #startedAt: number;
  #shownAt: number;
  #isDrawn = false;

  constructor(options: DisplayOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#shownAt = options.isTerminal ? 0 : this.#startedAt;
  }

  sending({ bytes, sent, badLines }: Shown): void {
    const { totalBytes, clock } = this.#options;
    const share = totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes);
    const percent = `${Math.floor(share * 100)} %`;
    const rate = ratePerSecond(sent, clock.now() - this.#startedAt);
    const bad = badLines > 0 ? `, ${badLines} bad lines` : "";
    const text = `${percent.padStart(5)}  ${sent} sent, ${rate}/s${bad}`;
    const cells = Math.round(share * BAR_CELLS);
    this.#show(text, `${"█".repeat(cells)}${"░".repeat(BAR_CELLS - cells)} ${text}`);
  }

  waiting(unread: number): void {
    const text = `waiting until ${unread} more records are in the results`;
    this.#show(text, text);
  }

  /** Takes the bar away; what is written next begins at the left. */
  clear(): void {
    if (this.#isDrawn) this.#options.write(CLEAR_LINE);
    this.#isDrawn = false;
  }

  #show(line: string, bar: string): void {
    const { clock, isTerminal, write } = this.#options;
    const now = clock.now();
    if (now - this.#shownAt < (isTerminal ? DRAW_EVERY_MS : LINE_EVERY_MS)) return;
    this.#shownAt = now;
    this.#isDrawn = isTerminal;
    write(isTerminal ? `${CLEAR_LINE}${bar}` : `${line}\n`);
  }
}

/** A whole number; of less than a second too. */
export function ratePerSecond(count: number, millis: number): number {
  return Math.round((count * 1000) / Math.max(1, millis));
}
