import { expect, test } from "vitest";
import { JsonRows } from "../../packages/traffic/src/replay/json-rows.ts";
import { isBad, MAX_LINE_LENGTH } from "../../packages/traffic/src/replay/rows.ts";

/** Rows as `line: JSON`; lines that are none as `line! reason`. */
function read(text: string, pieceLength = text.length): string[] {
  const reader = new JsonRows();
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += pieceLength) {
    const items = reader.read(text.slice(at, at + pieceLength), at + pieceLength >= text.length);
    for (const item of items) {
      if (isBad(item)) lines.push(`${item.line}! ${item.reason}`);
      else {
        const members = item.names.map((name, n) => [name, item.values[n]]);
        lines.push(`${item.line}: ${JSON.stringify(Object.fromEntries(members))}`);
      }
    }
  }
  return lines;
}

test("objects are rows wherever pieces end, and every other line is told", () => {
  const text = '{"a":1}\r\n\n[1]\n{"a":\n "text"\n  {"a":{"b":[null]}}  \n{"a":2}';
  const wanted = [
    '1: {"a":1}',
    "3! is not a JSON object",
    "4! is not JSON",
    "5! is not a JSON object",
    '6: {"a":{"b":[null]}}',
    '7: {"a":2}',
  ];
  expect(read(text)).toEqual(wanted);
  expect(read(text, 3)).toEqual(wanted);
});

test("numbers keep the digits that a double would lose", () => {
  const line =
    '{"id":12345678901234567890,"deep":[{"x":0.12345678901234567890}],"e":1e400,"n":-9007199254740993}';
  expect(read(line)).toEqual([`1: ${line}`]);
});

test("a number that stands alone on its line is no object, whatever its length", () => {
  expect(read("[12345678901234567890]\n 12345678901234567890")).toEqual([
    "1! is not a JSON object",
    "2! is not a JSON object",
  ]);
});

test("a line that is too long is told once and not kept", () => {
  const long = `{"a":"${"x".repeat(2 * MAX_LINE_LENGTH)}"}`;
  const wanted = [
    "1! is longer than 1048576 characters",
    '2: {"a":1}',
    "3! is longer than 1048576 characters",
  ];
  expect(read(`${long}\n{"a":1}\n${long}`, 200_000)).toEqual(wanted);
  expect(read(`${long}\n{"a":1}\n${long}`)).toEqual(wanted);
});
