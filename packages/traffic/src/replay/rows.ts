/** What a file is read into, whatever its format: rows, and lines that are none. */

export interface Row {
  /** Where it begins in the file, from 1. */
  readonly line: number;
  readonly names: readonly string[];
  /** As many as names; undefined where a cell is empty. JSON values otherwise, CSV cells are texts. */
  readonly values: readonly unknown[];
}

export interface BadLine {
  readonly line: number;
  /** Completes "line 17: …"; repeats nothing of the line. */
  readonly reason: string;
}

export function isBad(item: Row | BadLine): item is BadLine {
  return "reason" in item;
}

export interface RowReader {
  /**
   * The rows of the next piece of text; what it leaves unfinished waits for the piece after it.
   * `isEnd`: no piece follows.
   */
  read(text: string, isEnd: boolean): readonly (Row | BadLine)[];
  /** The names seen so far, in their order: of a CSV file all, once its header was read. */
  columns(): readonly string[];
}

/** No event is half as long, and what is longer is not kept in memory to find its end. */
export const MAX_LINE_LENGTH = 1024 * 1024;

export const TOO_LONG = `is longer than ${MAX_LINE_LENGTH} characters`;
