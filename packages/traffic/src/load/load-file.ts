/**
 * Sends the users or products of a file to the running system, in the file's order. A line that makes
 * none, or that the system refuses, is counted and told, and never ends the loading.
 */
import { invalid } from "@headrace/kernel";
import type { InputFile } from "../replay/input-file.ts";
import { readRows } from "../replay/read-rows.ts";
import { type BadLine, isBad } from "../replay/rows.ts";
import {
  type DimensionItem,
  type DimensionName,
  ignoredColumns,
  itemOf,
  missingColumns,
} from "./dimension.ts";
import { ItemParts, MOST_ITEM_BYTES, type SendItems } from "./dimension-api.ts";

export interface LoadOptions {
  readonly file: InputFile;
  readonly name: DimensionName;
  readonly send: SendItems;
  /** Ends the loading early; what was sent by then is in the totals. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (totals: LoadTotals) => void;
  /** Called once where the file has columns that are left out. */
  readonly onIgnored?: (columns: readonly string[]) => void;
}

export interface LoadTotals {
  /** Bytes of the file's content that were read. */
  readonly bytes: number;
  /** Lines that are stored. */
  readonly loaded: number;
  readonly badLines: number;
  /** The first 20. */
  readonly firstBadLines: readonly BadLine[];
}

const BAD_LINES_TOLD = 20;

/** Throws `load.columns` before anything is sent, and as the file's reading and `send` do. */
export async function loadFile(options: LoadOptions): Promise<LoadTotals> {
  const { file, name, signal, onProgress } = options;
  const run = new Loading(options);
  let isChecked = false;
  for await (const { items, columns, bytes } of readRows(file)) {
    if (!isChecked && columns.length > 0) {
      checkColumns(options, columns);
      isChecked = true;
    }
    for (const item of items) {
      if (signal?.aborted) return run.totals();
      if (isBad(item)) run.refuse(item);
      else await run.add(item.line, itemOf(name, item));
    }
    run.bytes = bytes;
    onProgress?.(run.totals());
  }
  await run.send();
  return run.totals();
}

/** Of NDJSON, a member may be missing in each line by itself. */
function checkColumns({ file, name, onIgnored }: LoadOptions, columns: readonly string[]): void {
  const missing = file.format === "csv" ? missingColumns(name, columns) : [];
  if (missing.length > 0)
    throw invalid(
      "load.columns",
      `${file.name} has no column ${missing.join(", ")}; a file of ${name} needs it. Its first line must name the columns; it names ${columns.join(", ")}`,
    );
  const ignored = ignoredColumns(name, columns);
  if (ignored.length > 0) onIgnored?.(ignored);
}

class Loading {
  readonly #options: LoadOptions;
  readonly #parts = new ItemParts();
  /** Of the items that wait to be sent. */
  readonly #lines: number[] = [];
  /** As they are found out: the system refuses a line after later ones could not be read. */
  readonly #bad: BadLine[] = [];
  #badLines = 0;
  #loaded = 0;
  bytes = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  async add(line: number, item: DimensionItem): Promise<void> {
    const text = JSON.stringify(item);
    if (Buffer.byteLength(text) > MOST_ITEM_BYTES) {
      this.refuse({ line, reason: `is longer than ${MOST_ITEM_BYTES} bytes` });
      return;
    }
    if (!this.#parts.add(text)) {
      await this.send();
      this.#parts.add(text);
    }
    this.#lines.push(line);
    if (this.#parts.isFull) await this.send();
  }

  async send(): Promise<void> {
    if (this.#parts.count === 0) return;
    const lines = this.#lines.splice(0);
    const reasons = await this.#options.send(this.#parts.take());
    for (const [index, line] of lines.entries()) {
      const reason = reasons[index];
      if (reason === undefined) this.#loaded++;
      else this.refuse({ line, reason });
    }
    this.#options.onProgress?.(this.totals());
  }

  refuse(bad: BadLine): void {
    this.#badLines++;
    this.#bad.push(bad);
    if (this.#bad.length > 2 * BAD_LINES_TOLD) this.#bad.sort(byLine).length = BAD_LINES_TOLD;
  }

  totals(): LoadTotals {
    const firstBadLines = this.#bad.toSorted(byLine).slice(0, BAD_LINES_TOLD);
    return { bytes: this.bytes, loaded: this.#loaded, badLines: this.#badLines, firstBadLines };
  }
}

const byLine = (a: BadLine, b: BadLine): number => a.line - b.line;
