/**
 * Rows of CSV as RFC 4180 has it: commas, cells in double quotes where they hold commas, quotes or line
 * ends, the first line a header. Lines end in LF or CRLF.
 *
 * A line that cannot be read costs no other line. That is why this is no general parser: a quote that
 * is never closed makes those take the rest of the file for one cell. Here only the line where the
 * quote opens is given up, and reading goes on with the next.
 */
import { type AppError, invalid } from "@headrace/kernel";
import { type BadLine, MAX_LINE_LENGTH, type Row, type RowReader, TOO_LONG } from "./rows.ts";

type Cells = readonly string[];
/** The cells of a record and where the next one begins; what is wrong; or that more text is needed. */
type Scan = { readonly cells: Cells; readonly next: number } | string | undefined;

const QUOTE = 34;
const COMMA = 44;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

const UNCLOSED = "opens a quote that is not closed";

export class CsvRows implements RowReader {
  #rest = "";
  /** The line that `#rest` begins with. */
  #line = 1;
  /** Inside a line that is too long already. */
  #isSkipping = false;
  #header: readonly string[] | undefined;

  columns(): readonly string[] {
    return this.#header ?? [];
  }

  /** Throws `replay.header` where the header makes no sense. */
  read(piece: string, isEnd: boolean): readonly (Row | BadLine)[] {
    const items: (Row | BadLine)[] = [];
    const text = this.#rest + piece;
    const quotes = new QuoteFinder(text);
    let at = this.#isSkipping ? this.#skip(text, 0) : 0;
    while (at < text.length) {
      const scan = scanRecord(text, at, quotes, isEnd);
      if (scan === undefined && !isEnd && text.length - at <= MAX_LINE_LENGTH) break;
      at = this.#take(scan ?? UNCLOSED, text, at, items);
    }
    this.#rest = text.slice(at);
    return items;
  }

  /** Adds what the scan at `at` gave to `items`; where to go on. */
  #take(
    scan: Exclude<Scan, undefined>,
    text: string,
    at: number,
    items: (Row | BadLine)[],
  ): number {
    const lineEnd = text.indexOf("\n", at) + 1;
    if (typeof scan === "string") {
      if (this.#header === undefined) throw badHeader(`the first line ${scan}`);
      const tooLong = lineEnd === 0 && text.length - at > MAX_LINE_LENGTH;
      items.push({ line: this.#line, reason: tooLong ? TOO_LONG : scan });
      if (lineEnd === 0) this.#isSkipping = true;
      return this.#skip(text, at);
    }
    const { cells, next } = scan;
    const isOneLine = lineEnd === 0 || next <= lineEnd;
    if (cells.length === 1 && cells[0]?.trim() === "") return this.#pass(text, at, next);
    if (this.#header === undefined) {
      this.#header = headerOf(cells);
      return this.#pass(text, at, next);
    }
    if (cells.length !== this.#header.length) {
      const reason = `has ${count(cells.length, "column")}, the header ${this.#header.length}`;
      items.push({ line: this.#line, reason });
      // A stray quote may have swallowed lines that are sound by themselves.
      return isOneLine ? this.#pass(text, at, next) : this.#skip(text, at);
    }
    const values = cells.map((cell) => (cell === "" ? undefined : cell));
    items.push({ line: this.#line, names: this.#header, values });
    return this.#pass(text, at, next);
  }

  #pass(text: string, from: number, to: number): number {
    for (let at = text.indexOf("\n", from); at >= 0 && at < to; at = text.indexOf("\n", at + 1))
      this.#line++;
    return to;
  }

  /** To the next line, or to the end of the text where that does not hold it yet. */
  #skip(text: string, from: number): number {
    const end = text.indexOf("\n", from);
    if (end < 0) return text.length;
    this.#isSkipping = false;
    this.#line++;
    return end + 1;
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** A column without a name is named after its place, as in files that were written with row numbers. */
function headerOf(cells: Cells): readonly string[] {
  const names = cells.map((cell, n) => (cell.trim() === "" ? `column_${n + 1}` : cell.trim()));
  const twice = names.find((name, n) => names.indexOf(name) !== n);
  if (twice === undefined) return names;
  throw badHeader(`it has two columns "${twice}"; give each a name of its own`);
}

function badHeader(why: string): AppError {
  return invalid("replay.header", `the header, which names the columns, cannot be used: ${why}`);
}

/** Where the next quote stands, without looking through the same text for each line. */
class QuoteFinder {
  readonly #text: string;
  /** No quote stands in [#from, #found). */
  #from = 0;
  #found = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The index of the first quote at or after `from`; the text's length where there is none. */
  after(from: number): number {
    if (from >= this.#from && from < this.#found) return this.#found;
    const found = this.#text.indexOf('"', from);
    this.#from = from;
    this.#found = found < 0 ? this.#text.length : found;
    return this.#found;
  }
}

/** The record that begins at `from`. */
function scanRecord(text: string, from: number, quotes: QuoteFinder, isEnd: boolean): Scan {
  const lineFeed = text.indexOf("\n", from);
  if (lineFeed < 0 && !isEnd) return undefined;
  const lineEnd = lineFeed < 0 ? text.length : lineFeed;
  if (quotes.after(from) < lineEnd) return scanQuoted(text, from, isEnd);
  const line = text.slice(from, withoutReturn(text, from, lineEnd));
  return { cells: line.split(","), next: lineFeed < 0 ? text.length : lineFeed + 1 };
}

/** The same, cell by cell. A quote within a cell that does not begin with one is a letter. */
function scanQuoted(text: string, from: number, isEnd: boolean): Scan {
  const cells: string[] = [];
  for (let at = from; ; at++) {
    const end =
      text.charCodeAt(at) === QUOTE ? quotedEnd(text, at, isEnd) : plainEnd(text, at, isEnd);
    if (end === undefined) return undefined;
    cells.push(cellText(text, at, end));
    const stop = text.charCodeAt(end) === CARRIAGE_RETURN ? end + 1 : end;
    if (text.charCodeAt(stop) === LINE_FEED) return { cells, next: stop + 1 };
    if (stop >= text.length) return { cells, next: text.length };
    if (text.charCodeAt(end) !== COMMA) return "has text after a closing quote";
    at = end;
  }
}

/** Past the closing quote of the cell whose opening one is at `from`; undefined where there is none yet. */
function quotedEnd(text: string, from: number, isEnd: boolean): number | undefined {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 2)) {
    // What follows decides what the quote is: two characters, as it may be CRLF.
    if (at + 2 >= text.length && !isEnd) return undefined;
    if (text.charCodeAt(at + 1) !== QUOTE) return at + 1;
  }
  return undefined;
}

function plainEnd(text: string, from: number, isEnd: boolean): number | undefined {
  const comma = text.indexOf(",", from);
  const lineFeed = text.indexOf("\n", from);
  if (comma >= 0 && (lineFeed < 0 || comma < lineFeed)) return comma;
  if (lineFeed < 0) return isEnd ? withoutReturn(text, from, text.length) : undefined;
  return withoutReturn(text, from, lineFeed);
}

function cellText(text: string, from: number, end: number): string {
  if (text.charCodeAt(from) !== QUOTE) return text.slice(from, end);
  return text.slice(from + 1, end - 1).replaceAll('""', '"');
}

/** `end` without a carriage return before it. */
function withoutReturn(text: string, from: number, end: number): number {
  return end > from && text.charCodeAt(end - 1) === CARRIAGE_RETURN ? end - 1 : end;
}
