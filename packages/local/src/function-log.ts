/**
 * Where functions and the runtime write their JSON lines: a file, which is cut when it has grown. An
 * error is also said on the console in one short line; the same one again not before a while.
 *
 * Lines of the last moments before a crash of the process may be missing.
 */
import { createWriteStream, openSync, renameSync, type WriteStream } from "node:fs";
import {
  type Clock,
  jsonLogger,
  type LogFields,
  type Logger,
  type LogLevel,
} from "@headrace/kernel";
import { markLog } from "./child-log.ts";

export interface FunctionLogOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly level: LogLevel;
  /** Receives a short line for a person. */
  readonly notice: (line: string) => void;
}

export interface FunctionLog {
  readonly logger: Logger;
  /** From now on errors go to the file only: at the end they are what an end looks like. */
  quieten(): void;
  /** Settles when everything is written out. */
  close(): Promise<void>;
}

/** The file before the present one is kept beside it: twice this much on disk. */
const MOST_BYTES = 32 * 1024 * 1024;
const SAME_NOTICE_MILLIS = 30_000;

export async function openFunctionLog(options: FunctionLogOptions): Promise<FunctionLog> {
  const { clock, level } = options;
  await markLog(options.file);
  const file = new LogFile(options.file, options.notice);
  const notices = new Notices(options);
  return {
    logger: noticing(jsonLogger({ clock, level, write: (line) => file.write(line) }), notices, {}),
    quieten: () => notices.end(),
    close: () => file.close(),
  };
}

class LogFile {
  readonly #path: string;
  readonly #notice: (line: string) => void;
  #stream: WriteStream;
  #closingBefore: Promise<void> | undefined;
  #bytes = 0;

  constructor(path: string, notice: (line: string) => void) {
    this.#path = path;
    this.#notice = notice;
    this.#stream = this.#open();
  }

  write(line: string): void {
    if (this.#stream.writableEnded) return; // something outlasts the end
    if (this.#bytes > MOST_BYTES) this.#beginAnew();
    this.#bytes += line.length + 1;
    this.#stream.write(`${line}\n`);
  }

  async close(): Promise<void> {
    await Promise.all([this.#closingBefore, closed(this.#stream)]);
  }

  #beginAnew(): void {
    this.#bytes = 0;
    const before = this.#stream;
    try {
      renameSync(this.#path, `${this.#path}.1`);
      this.#stream = this.#open();
      this.#closingBefore = closed(before);
    } catch (error) {
      this.#lost(error); // the old file goes on growing
    }
  }

  #open(): WriteStream {
    const stream = createWriteStream(this.#path, { fd: openSync(this.#path, "a", 0o600) });
    stream.on("error", (error) => this.#lost(error));
    return stream;
  }

  /** A disk that is full must not end what still works: the log then lacks lines. */
  #lost(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.#notice(`${this.#path} cannot be written: ${why}`);
  }
}

function closed(stream: WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.once("close", resolve);
    stream.end();
  });
}

class Notices {
  readonly #options: FunctionLogOptions;
  readonly #saidAt = new Map<string, number>();
  #isEnded = false;

  constructor(options: FunctionLogOptions) {
    this.#options = options;
  }

  /** Messages are constants of the code, so the map stays small. */
  say(message: string, fields: LogFields): void {
    const now = this.#options.clock.now();
    const last = this.#saidAt.get(message);
    if (this.#isEnded || (last !== undefined && now - last < SAME_NOTICE_MILLIS)) return;
    this.#saidAt.set(message, now);
    this.#options.notice(`${message}${reasonOf(fields)} (more in ${this.#options.file})`);
  }

  end(): void {
    this.#isEnded = true;
  }
}

function noticing(inner: Logger, notices: Notices, bound: LogFields): Logger {
  return {
    debug: inner.debug,
    info: inner.info,
    warn: inner.warn,
    error(message, fields) {
      inner.error(message, fields);
      notices.say(message, { ...bound, ...fields });
    },
    with: (fields) => noticing(inner.with(fields), notices, { ...bound, ...fields }),
  };
}

function reasonOf({ function: name, cron, route, error }: LogFields): string {
  const who = [name, cron, route].find((one) => typeof one === "string");
  const why =
    typeof error === "object" && error !== null && "message" in error
      ? String(error.message).split("\n", 1)[0]
      : undefined;
  const told = [who, why].filter((one) => one !== undefined);
  return told.length === 0 ? "" : `: ${told.join(", ")}`;
}
