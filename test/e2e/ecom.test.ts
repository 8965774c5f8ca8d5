/**
 * Real input through the whole system, by the commands that a person types; the expected figures
 * come from an independent program. Skipped where the data are not beside the repository.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { realInput } from "../support/real-input.ts";
import { startSystem, type TestSystem } from "./system.ts";

const FILE = realInput("ecom.csv.gz");
const EXPECTED = realInput("ecom.expected.json");
const COMMAND = new URL("../../packages/traffic/src/replay-command.ts", import.meta.url).pathname;
const MAP = "event_type=event,event_time=timestamp,user_id=user_id,session_id=session_id";

interface Expected {
  readonly events: number;
  readonly by_type: Readonly<Record<string, number>>;
  readonly purchase_by_day: Readonly<Record<string, { events: number; users: number }>>;
  readonly hour_windows: number;
  readonly ten_second_windows: number;
  readonly busiest_hours: readonly { window_start: string; event_type: string; events: number }[];
}

interface Window {
  readonly window_start: string;
  readonly event_type: string;
  readonly event_count: number;
  readonly distinct_users: number;
}

describe.skipIf(FILE.isMissing)(FILE.named("the ecom file, replayed"), async () => {
  let system: TestSystem | undefined;
  afterAll(() => system?.stop());

  const replay = async (): Promise<string> => {
    system ??= await startSystem();
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [COMMAND, FILE.path, "--map", MAP, "--wait"],
      { env: { ...process.env, HEADRACE_HOME: system.home } },
    );
    return stdout;
  };

  const windows = async (query: string): Promise<Window[]> => {
    const found: Window[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const range = "from=2024-01-01T00:00:00Z&to=2024-07-01T00:00:00Z&limit=1000";
      const path: string = `/v1/reports/windows?${range}&${query}${cursor && `&cursor=${cursor}`}`;
      const page = (await system?.get(path)) as { windows: Window[]; next_cursor: string | null };
      found.push(...page.windows);
      cursor = page.next_cursor;
    }
    return found;
  };

  const countsOf = (rows: readonly Window[]): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const { event_type, event_count } of rows) {
      counts[event_type] = (counts[event_type] ?? 0) + event_count;
    }
    return counts;
  };

  const expectAllOfIt = async (): Promise<void> => {
    const expected = JSON.parse(readFileSync(EXPECTED.path, "utf8")) as Expected;
    const days = await windows("size=1d");
    const hours = await windows("size=1h");
    const tens = await windows("size=10s");
    for (const rows of [days, hours, tens]) expect(countsOf(rows)).toEqual(expected.by_type);
    expect(days.reduce((sum, { event_count }) => sum + event_count, 0)).toBe(expected.events);

    const purchases = days.filter(({ event_type }) => event_type === "purchase");
    expect(
      Object.fromEntries(
        purchases.map((row) => [
          row.window_start.slice(0, 10),
          { events: row.event_count, users: row.distinct_users },
        ]),
      ),
    ).toEqual(expected.purchase_by_day);
    expect(hours.length).toBe(expected.hour_windows);
    expect(tens.length).toBe(expected.ten_second_windows);
    const counted = new Map(hours.map((row) => [`${row.window_start} ${row.event_type}`, row]));
    expect(
      expected.busiest_hours.map((hour) => ({
        ...hour,
        events: counted.get(`${hour.window_start} ${hour.event_type}`)?.event_count,
      })),
    ).toEqual(expected.busiest_hours);
    const least = Math.min(...expected.busiest_hours.map(({ events }) => events));
    const busier = hours.filter(({ event_count }) => event_count > least);
    expect(busier.length).toBeLessThanOrEqual(expected.busiest_hours.length);
  };

  test("gives the expected figures, and twice the same file changes nothing", async () => {
    expect(await replay()).toMatch(/stored\s+31,?106/i);
    await expectAllOfIt();
    expect(await replay()).toMatch(/duplicates\s+31,?106/i);
    await expectAllOfIt();
  }, 240_000);
});
