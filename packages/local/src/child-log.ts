/** Log files of child processes: kept small, and quoted when a start fails. */
import { copyFile, open, rename, stat, truncate } from "node:fs/promises";

/** The file before the present one is kept beside it: twice this much on disk. */
const KEPT_BYTES = 8 * 1024 * 1024;
/** A server that says the same thing at every statement writes some MiB in this time. */
const LOOK_MILLIS = 10_000;

export interface LogMark {
  readonly file: string;
  readonly from: number;
}

/** Where the log ends now, so that only what a start adds is quoted. Moves a long log aside. */
export async function markLog(file: string): Promise<LogMark> {
  const size = (await stat(file).catch(() => undefined))?.size ?? 0;
  if (size <= KEPT_BYTES) return { file, from: size };
  await rename(file, `${file}.1`);
  return { file, from: 0 };
}

export interface BoundOptions {
  readonly keptBytes?: number;
  readonly lookMillis?: number;
}

/**
 * Keeps a log small while its process writes it, until what is returned is called. The process goes on
 * writing to the file that it was given (appending), so the file is copied aside and then emptied; what
 * comes between the two, some lines at most, is lost.
 */
export function boundLog(file: string, options: BoundOptions = {}): () => void {
  const { keptBytes = KEPT_BYTES, lookMillis = LOOK_MILLIS } = options;
  let isCutting = false;
  const look = async (): Promise<void> => {
    if (isCutting) return;
    isCutting = true;
    try {
      if ((await stat(file)).size > keptBytes) await cut(file);
    } catch {
      // A full disk, or a log that somebody took away: it is the server's to complain.
    } finally {
      isCutting = false;
    }
  };
  const timer = setInterval(look, lookMillis).unref();
  return () => clearInterval(timer);
}

async function cut(file: string): Promise<void> {
  await copyFile(file, `${file}.1`);
  await truncate(file);
}

/** The last lines written since the mark, "" if there are none. */
export async function logSince(mark: LogMark, lines = 12): Promise<string> {
  const handle = await open(mark.file).catch(() => undefined);
  if (handle === undefined) return "";
  try {
    const { size } = await handle.stat();
    // A log that was cut since then begins anew.
    const from = Math.max(mark.from > size ? 0 : mark.from, size - 64 * 1024);
    const { buffer, bytesRead } = await handle.read(
      Buffer.alloc(size - from),
      0,
      size - from,
      from,
    );
    return buffer.toString("utf8", 0, bytesRead).trimEnd().split("\n").slice(-lines).join("\n");
  } finally {
    await handle.close();
  }
}
