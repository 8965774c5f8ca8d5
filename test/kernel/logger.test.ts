import { invalid, jsonLogger } from "@headrace/kernel";
import { expect, test } from "vitest";

function logged(write: (log: ReturnType<typeof jsonLogger>) => void): Record<string, unknown>[] {
  const lines: string[] = [];
  write(jsonLogger({ clock: { now: () => 0 }, write: (line) => lines.push(line) }));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("a line is one JSON object with the bound fields", () => {
  const [line] = logged((log) => log.with({ batch: 7 }).warn("slow\nbatch", { rows: 12n }));
  expect(line).toEqual({
    time: "1970-01-01T00:00:00.000Z",
    level: "warn",
    message: "slow\nbatch",
    batch: 7,
    rows: "12",
  });
});

test("a field called message does not hide what is said", () => {
  const [line] = logged((log) => log.info("said", { message: "hidden" }));
  expect(line?.message).toBe("said");
});

test("an error is written with its code and its cause", () => {
  const error = invalid("noun.reason", "why", { cause: new Error("deeper") });
  const [line] = logged((log) => log.error("failed", { error }));
  expect(line?.error).toMatchObject({
    name: "AppError",
    code: "noun.reason",
    message: "why",
    cause: { message: "deeper" },
  });
});

test("what is below the level is not written", () => {
  expect(logged((log) => log.debug("quiet"))).toEqual([]);
});
