/** The rows of a file, piece by piece: memory is bounded by a piece however long the file is. */
import { invalid } from "@headrace/kernel";
import { CsvRows } from "./csv-rows.ts";
import type { InputFile } from "./input-file.ts";
import { JsonRows } from "./json-rows.ts";
import type { BadLine, Row } from "./rows.ts";

export interface RowPiece {
  readonly items: readonly (Row | BadLine)[];
  /** Columns seen so far (`RowReader.columns`). */
  readonly columns: readonly string[];
  /** Bytes of the content up to here. */
  readonly bytes: number;
}

/** Throws as the file's `content` and the readers do, and `replay.changed` where it has become shorter. */
export async function* readRows(file: InputFile): AsyncGenerator<RowPiece, void, void> {
  const reader = file.format === "csv" ? new CsvRows() : new JsonRows();
  const decoder = new TextDecoder();
  let bytes = 0;
  for await (const chunk of file.content()) {
    bytes += chunk.length;
    const items = reader.read(decoder.decode(chunk, { stream: true }), false);
    yield { items, columns: reader.columns(), bytes };
  }
  if (bytes !== file.bytes)
    throw invalid("replay.changed", `${file.name} was changed while it was read; replay it again`);
  yield { items: reader.read(decoder.decode(), true), columns: reader.columns(), bytes };
}
