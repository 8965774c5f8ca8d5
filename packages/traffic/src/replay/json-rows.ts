/** Rows of NDJSON: one JSON object a line. A member is a column; white space around lines is ignored. */
import { isJsonObject, parseExactJson } from "./exact-json.ts";
import { type BadLine, MAX_LINE_LENGTH, type Row, type RowReader, TOO_LONG } from "./rows.ts";

/** Enough to tell a wrong name in `--map` from a member that is seldom there. */
const LINES_TO_LEARN_NAMES_FROM = 1_000;

export class JsonRows implements RowReader {
  #rest = "";
  #line = 0;
  /** Inside a line that is too long already. */
  #isSkipping = false;
  readonly #names = new Set<string>();

  columns(): readonly string[] {
    return [...this.#names];
  }

  read(piece: string, isEnd: boolean): readonly (Row | BadLine)[] {
    const items: (Row | BadLine)[] = [];
    const text = this.#rest + piece;
    let at = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", at)) {
      this.#take(text.slice(at, end), items);
      at = end + 1;
    }
    this.#rest = text.slice(at);
    if (isEnd) this.#take(this.#rest, items);
    else if (this.#rest.length > MAX_LINE_LENGTH) {
      if (!this.#isSkipping) items.push({ line: this.#line + 1, reason: TOO_LONG });
      this.#isSkipping = true;
      this.#rest = "";
    }
    return items;
  }

  #take(text: string, items: (Row | BadLine)[]): void {
    const line = ++this.#line;
    const wasTold = this.#isSkipping;
    this.#isSkipping = false;
    if (wasTold || text.trim() === "") return;
    const value = text.length > MAX_LINE_LENGTH ? TOO_LONG : parsed(text);
    if (typeof value === "string") {
      items.push({ line, reason: value });
      return;
    }
    const names = Object.keys(value);
    if (line <= LINES_TO_LEARN_NAMES_FROM) for (const name of names) this.#names.add(name);
    items.push({ line, names, values: Object.values(value) });
  }
}

/** The object of a line, or why it is none. */
function parsed(text: string): Record<string, unknown> | string {
  let value: unknown;
  try {
    value = parseExactJson(text);
  } catch {
    return "is not JSON"; // a SyntaxError, which would quote the line
  }
  return isJsonObject(value) ? value : "is not a JSON object";
}
