import fc from "fast-check";
import { expect, test } from "vitest";
import { CsvRows } from "../../packages/traffic/src/replay/csv-rows.ts";
import { isBad, MAX_LINE_LENGTH } from "../../packages/traffic/src/replay/rows.ts";

/** Rows as `line: cell|cell`, an absent cell as `~`; lines that are none as `line! reason`. */
function read(text: string, pieceLength = text.length): string[] {
  const reader = new CsvRows();
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += pieceLength) {
    const items = reader.read(text.slice(at, at + pieceLength), at + pieceLength >= text.length);
    for (const item of items)
      lines.push(
        isBad(item)
          ? `${item.line}! ${item.reason}`
          : `${item.line}: ${item.values.map((value) => value ?? "~").join("|")}`,
      );
  }
  return lines;
}

const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;

test("any table is read back as it was written, however it is cut into pieces", () => {
  const cell = fc.string({ unit: fc.constantFrom('"', ",", "\n", "\r\n", "a", "é"), maxLength: 6 });
  const written = fc.tuple(cell, fc.boolean()).map(([text, always]) => ({
    text,
    csv: always || /[",\r\n]/.test(text) ? quoted(text) : text,
  }));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(written, written, written), { minLength: 1, maxLength: 6 }),
      fc.constantFrom("\n", "\r\n"),
      fc.boolean(),
      fc.integer({ min: 1, max: 12 }),
      (table, lineEnd, endsWithLine, pieceLength) => {
        const lines = table.map((row) => row.map(({ csv }) => csv).join(","));
        const text = ["a,b,c", ...lines].join(lineEnd) + (endsWithLine ? lineEnd : "");
        let line = 2;
        const wanted = table.map((row, n) => {
          const values = row.map(({ text: value }) => (value === "" ? "~" : value)).join("|");
          const first = line;
          line += (lines[n]?.match(/\n/g)?.length ?? 0) + 1;
          return `${first}: ${values}`;
        });
        expect(read(text, pieceLength)).toEqual(wanted);
      },
    ),
  );
});

test("blank lines are passed over and counted", () => {
  expect(read("a,b\n\n1,2\r\n   \n3,4")).toEqual(["3: 1|2", "5: 3|4"]);
});

test("a quote inside a cell that does not begin with one is a letter", () => {
  expect(read('a,b\n5" disk,"x"\n')).toEqual(['2: 5" disk|x']);
});

test("a line with another number of columns is told, and only that one", () => {
  expect(read("a,b\n1\n1,2\n1,2,3\n")).toEqual([
    "2! has 1 column, the header 2",
    "3: 1|2",
    "4! has 3 columns, the header 2",
  ]);
});

test("a quote that is not closed costs its own line and no other", () => {
  const sound = Array.from({ length: 50 }, (_, n) => `${n},x`);
  const text = ["a,b", '"oops,1', ...sound].join("\n");
  const wanted = [
    "2! opens a quote that is not closed",
    ...sound.map((_, n) => `${n + 3}: ${n}|x`),
  ];
  expect(read(text)).toEqual(wanted);
  expect(read(text, 7)).toEqual(wanted);
});

test("a stray quote that a later one closes costs its own line and no other", () => {
  const text = 'a,b\n"oops,1\n2,3\n"4,4",5\n"6","7"\n';
  const wanted = ["2! has text after a closing quote", "3: 2|3", "4: 4,4|5", "5: 6|7"];
  expect(read(text)).toEqual(wanted);
  expect(read(text, 3)).toEqual(wanted);
  expect(read('a,b\n"oops,1\n2,3\n4,"5"\n')).toEqual([
    "2! has text after a closing quote",
    "3: 2|3",
    "4: 4|5",
  ]);
  expect(read('a,b\n"oops\n2,3\n"\n4,5\n')).toEqual([
    "2! has 1 column, the header 2",
    "3: 2|3",
    "4! opens a quote that is not closed",
    "5: 4|5",
  ]);
});

test("a line that is too long is told once and not kept", () => {
  const long = "x".repeat(2.5 * MAX_LINE_LENGTH);
  const text = `a,b\n1,2\n${long}\n3,4\n${long}`;
  const wanted = [
    "2: 1|2",
    "3! is longer than 1048576 characters",
    "4: 3|4",
    "5! is longer than 1048576 characters",
  ];
  expect(read(text, 300_000)).toEqual(wanted);
});

test("a header that cannot name columns is refused", () => {
  expect(() => read("a,b,a\n")).toThrow(/two columns "a"/);
  expect(() => read('"a,b\n1,2\n')).toThrow(/opens a quote that is not closed/);
});

test("a column without a name is named after its place", () => {
  const reader = new CsvRows();
  reader.read(",user, time \n0,1,2\n", true);
  expect(reader.columns()).toEqual(["column_1", "user", "time"]);
});
