/**
 * Sessions, funnels, interval joins and active users of real input, by the API, against figures of an
 * independent program: as the file stands, and in other orders, repeated, over partitions that are not
 * keyed by user. Skipped where the data are not beside the repository.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { createProducer } from "@headrace/kafka";
import { afterEach, describe, expect, test } from "vitest";
import { realInput } from "../support/real-input.ts";
import { startSystem, type TestSystem } from "./system.ts";

const FILE = realInput("ecom.csv.gz");
const EXPECTED = realInput("ecom.expected.json");
const RANGE = "from=2024-01-01T00:00:00Z&to=2024-07-01T00:00:00Z";
const PARTITIONS = 8;

interface Expected {
  readonly events: number;
  readonly gap_sessions_30min: Readonly<
    Record<"sessions" | "with_purchase" | "total_duration_s" | "longest_events", number>
  >;
  readonly funnels: readonly { steps: string[]; within_minutes: number; users: number[] }[];
  readonly interval_joins: readonly {
    left: string;
    right: string;
    within_minutes: number;
    pairs: number;
    users: number;
  }[];
  readonly active_users: { days: number; max_day: string; max: number; sum: number };
}

interface Page {
  readonly next_cursor: string | null;
}

let system: TestSystem | undefined;
afterEach(async () => {
  await system?.stop();
  system = undefined;
});

/** The file's events as JSON, with ids of their own. */
function events(): string[] {
  const [head = "", ...lines] = gunzipSync(readFileSync(FILE.path)).toString().trim().split("\n");
  const columns = head.trim().split(",");
  return lines.map((line, index) => {
    const cells = line.trim().split(",");
    const cell = (name: string): string => cells[columns.indexOf(name)] ?? "";
    return JSON.stringify({
      event_id: `00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`,
      event_time: `${cell("timestamp").replace(" ", "T")}Z`,
      event_type: cell("event"),
      user_id: cell("user_id"),
      session_id: cell("session_id"),
    });
  });
}

/** A linear congruential generator: the same order each time. */
function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const drawn = [...items];
  let state = seed;
  for (let last = drawn.length - 1; last > 0; last -= 1) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    const at = state % (last + 1);
    [drawn[last], drawn[at]] = [drawn[at] as Item, drawn[last] as Item];
  }
  return drawn;
}

const twice = (items: readonly string[]): string[] => items.flatMap((item) => [item, item]);

async function send(running: TestSystem, values: readonly string[]): Promise<void> {
  const producer = createProducer({ brokers: running.kafkaBrokers });
  try {
    const records = values.map((value, index) => ({
      topic: "events",
      partition: index % PARTITIONS,
      key: null,
      value,
    }));
    for (let at = 0; at < records.length; at += 2_000) {
      await producer.send(records.slice(at, at + 2_000));
    }
  } finally {
    await producer.close();
  }
}

async function untilStored(running: TestSystem, count: number): Promise<void> {
  for (;;) {
    const { partitions } = (await running.get("/v1/progress")) as {
      partitions: { events: number; duplicates: number }[];
    };
    const taken = partitions.reduce((sum, it) => sum + it.events + it.duplicates, 0);
    if (taken >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function pages<Row>(running: TestSystem, path: string, of: string): Promise<Row[]> {
  const found: Row[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page = (await running.get(`${path}${cursor && `&cursor=${cursor}`}`)) as Page &
      Record<string, Row[]>;
    found.push(...(page[of] ?? []));
    cursor = page.next_cursor;
  }
  return found;
}

async function expectSessions(running: TestSystem, expected: Expected): Promise<void> {
  const said = expected.gap_sessions_30min;
  expect(await running.get(`/v1/reports/sessions/summary?${RANGE}`)).toMatchObject({
    sessions: said.sessions,
    with_purchase: said.with_purchase,
    events: expected.events,
    total_duration_seconds: said.total_duration_s,
    events_max: said.longest_events,
  });
  const sessions = await pages<{ event_count: number; purchased: boolean; open: boolean }>(
    running,
    `/v1/reports/sessions?${RANGE}&limit=1000`,
    "sessions",
  );
  expect(sessions.length).toBe(said.sessions);
  expect(sessions.filter(({ purchased }) => purchased).length).toBe(said.with_purchase);
  expect(sessions.reduce((sum, { event_count }) => sum + event_count, 0)).toBe(expected.events);
}

async function expectFunnels(running: TestSystem, expected: Expected): Promise<void> {
  for (const { steps, within_minutes, users } of expected.funnels) {
    const path = `/v1/reports/funnel?steps=${steps.join(",")}&within=${within_minutes}m`;
    const months = "from=2024-01-01T00:00:00Z&to=2024-07-01T00:00:00Z";
    const answer = (await running.get(`${path}&${months}`)) as { steps: { users: number }[] };
    expect(answer.steps.map((step) => step.users)).toEqual(users);
  }
}

async function declareJoins(running: TestSystem, expected: Expected): Promise<void> {
  for (const [index, { left, right, within_minutes }] of expected.interval_joins.entries()) {
    const answer = await fetch(`${running.url}/v1/joins/expected-${index}`, {
      method: "PUT",
      headers: {
        authorization: `Bearer ${running.token}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ left, right, within: `${within_minutes}m` }),
    });
    expect(answer.ok).toBe(true);
  }
}

async function expectJoins(running: TestSystem, expected: Expected): Promise<void> {
  for (const [index, { pairs, users }] of expected.interval_joins.entries()) {
    const path = `/v1/reports/joins/expected-${index}?${RANGE}&limit=1000`;
    for (;;) {
      const headers = { authorization: `Bearer ${running.token}` };
      const { status } = await fetch(`${running.url}${path}`, { headers });
      if (status !== 503) break; // it still fills from history
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(await running.get(path)).toMatchObject({ total: pairs });
    const matches = await pages<{ user_id: string }>(running, path, "matches");
    expect(matches.length).toBe(pairs);
    expect(new Set(matches.map(({ user_id }) => user_id)).size).toBe(users);
  }
}

async function expectActiveUsers(running: TestSystem, expected: Expected): Promise<void> {
  const { periods } = (await running.get(`/v1/reports/active-users?by=day&${RANGE}`)) as {
    periods: { start: string; users: number }[];
  };
  const active = periods.filter(({ users }) => users > 0);
  const most = active.reduce((a, b) => (b.users > a.users ? b : a));
  expect({
    days: active.length,
    max_day: most.start.slice(0, 10),
    max: most.users,
    sum: active.reduce((sum, { users }) => sum + users, 0),
  }).toEqual(expected.active_users);
}

/** Every hour of the range: at most 1,000 an audit. */
async function expectAuditsToAgree(running: TestSystem): Promise<void> {
  for (let month = 1; month <= 6; month += 1) {
    const [from, to] = [month, month + 1].map((it) => `2024-${String(it).padStart(2, "0")}-01`);
    const range = `from=${from}T00:00:00Z&to=${to}T00:00:00Z`;
    const { ok, differences, hours } = (await running.get(`/v1/audit?${range}&sample=1000`)) as {
      ok: boolean;
      differences: unknown[];
      hours: { audited: number; of: number };
    };
    expect(differences).toEqual([]);
    expect(ok).toBe(true);
    expect(hours.audited).toBe(hours.of);
  }
}

describe.skipIf(FILE.isMissing).each([
  ["as it stands", (all: string[]) => all, "after"],
  ["in random order, each record twice", (all: string[]) => shuffled(twice(all), 7), "before"],
  ["in reverse", (all: string[]) => all.toReversed(), "after"],
] as const)(FILE.named("the ecom file %s, over eight partitions"), (_name, order, joins) => {
  test("gives the expected sessions, funnels, joins and active users", async () => {
    const expected = JSON.parse(readFileSync(EXPECTED.path, "utf8")) as Expected;
    system = await startSystem(["--no-traffic", "--partitions", String(PARTITIONS)]);
    if (joins === "before") await declareJoins(system, expected);
    const values = order(events());
    await send(system, values);
    await untilStored(system, values.length);
    await expectSessions(system, expected);
    await expectFunnels(system, expected);
    await expectActiveUsers(system, expected);
    if (joins === "after") await declareJoins(system, expected);
    await expectJoins(system, expected);
    await expectAuditsToAgree(system);
  }, 240_000);
});
