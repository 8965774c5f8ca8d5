/** Log files of child processes: kept small from start to start, and quoted when a start fails. */
import { open, rename, stat } from "node:fs/promises";

/** One run's log is not cut; the one before is kept beside it. */
const KEPT_BYTES = 8 * 1024 * 1024;

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

/** The last lines written since the mark, "" if there are none. */
export async function logSince(mark: LogMark, lines = 12): Promise<string> {
  const handle = await open(mark.file).catch(() => undefined);
  if (handle === undefined) return "";
  try {
    const { size } = await handle.stat();
    const from = Math.max(mark.from, size - 64 * 1024);
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
