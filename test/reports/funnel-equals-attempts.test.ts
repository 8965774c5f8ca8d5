/**
 * The funnel against all attempts tried one by one on random histories, against figures of an
 * independent program, and at sizes that must not make it slow or large.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type FunnelAnswer, instantOf } from "@headrace/reports";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { event, takeIn, testPool } from "../db/take-in.ts";
import { httpClient } from "../functions/http-client.ts";
import { testDatabase } from "../support/database.ts";
import { realInput } from "../support/real-input.ts";

const db = await testDatabase();
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
const client = await httpClient(await import("../../functions/http/reports.ts"), ["reports:read"]);
const worker = testPool(db.workerUrl);

const SECOND = 1_000_000;
/** A minute before one week ends and another begins. */
const START = Date.parse("2026-01-04T23:59:00Z") * 1000;

type Made<Source> = Source extends fc.Arbitrary<infer Value> ? Value : never;

const happened = fc.record({
  user: fc.integer({ min: 0, max: 3 }),
  type: fc.constantFrom("a", "b", "c"),
  second: fc.integer({ min: 0, max: 120 }),
  region: fc.constantFrom(null, "north", "south"),
});
type Happened = Made<typeof happened>;
const asked = fc.record({
  steps: fc.array(fc.constantFrom("a", "b", "c", "never"), { minLength: 2, maxLength: 5 }),
  within: fc.integer({ min: 1, max: 60 }),
  from: fc.integer({ min: 0, max: 60 }),
  length: fc.integer({ min: 1, max: 120 }),
});
type Asked = Made<typeof asked>;

async function funnel(query: string): Promise<FunnelAnswer> {
  const { status, body } = await client.get(`/v1/reports/funnel?${query}`);
  expect([status, body.code]).toEqual([200, undefined]);
  return body as unknown as FunnelAnswer;
}

interface Attempt {
  readonly region: string | null;
  readonly seconds: readonly number[];
}

function bestOf(events: readonly Happened[], { steps, within, from, length }: Asked): Attempt[] {
  return [0, 1, 2, 3].flatMap((user) => {
    const own = events.filter((one) => one.user === user);
    const attempts = own
      .filter(({ type, second }) => type === steps[0] && second >= from && second < from + length)
      .map(({ second: start, region }) => {
        const seconds = [start];
        for (const step of steps.slice(1)) {
          const fitting = own
            .filter(({ type }) => type === step)
            .map(({ second }) => second)
            .filter((second) => second > (seconds.at(-1) ?? 0) && second - start <= within);
          if (fitting.length === 0) break;
          seconds.push(Math.min(...fitting));
        }
        return { region, seconds };
      })
      .sort((x, y) => y.seconds.length - x.seconds.length || first(x) - first(y));
    return attempts.slice(0, 1);
  });
}

const first = ({ seconds }: Attempt): number => seconds[0] ?? 0;

function figuresOf(attempts: readonly Attempt[], { steps }: Asked) {
  return steps.map((type, place) => {
    const reached = attempts.filter(({ seconds }) => seconds.length > place);
    const gaps = reached
      .map(({ seconds }) => (seconds[place] ?? 0) - (seconds[place - 1] ?? 0))
      .sort((x, y) => x - y);
    const middle = [gaps[(gaps.length - 1) >> 1], gaps[gaps.length >> 1]];
    const has = place > 0 && gaps.length > 0;
    return [type, reached.length, has ? ((middle[0] ?? 0) + (middle[1] ?? 0)) / 2 : null];
  });
}

const shown = (steps: FunnelAnswer["steps"]) =>
  steps.map((step) => [step.event_type, step.users, step.median_seconds_from_previous]);

test("equals the best of all attempts after every batch of any history", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.array(happened, { minLength: 1, maxLength: 20 }), asked), {
        minLength: 1,
        maxLength: 4,
      }),
      async (history) => {
        await db.pool.query("delete from stream_events; delete from open_windows");
        const all: Happened[] = [];
        for (const [batch, asking] of history) {
          // Of one user's events of a type at the same moment, any may be the one that is asked.
          const fresh = batch.filter((one, place) =>
            [...all, ...batch.slice(0, place)].every((other) => !isSame(one, other)),
          );
          all.push(...fresh);
          await takeIn(worker, fresh.map(eventOf));
          const from = START + asking.from * SECOND;
          const answer = await funnel(
            `steps=${asking.steps}&within=${asking.within}s&by=region&from=${instantOf(from)}&to=${instantOf(from + asking.length * SECOND)}`,
          );
          const best = bestOf(all, asking);
          expect(shown(answer.steps)).toEqual(figuresOf(best, asking));
          expect(
            Object.fromEntries(answer.groups.map(({ value, steps }) => [value, shown(steps)])),
          ).toEqual(
            Object.fromEntries(
              [...new Set(best.map(({ region }) => region))].map((region) => [
                region,
                figuresOf(
                  best.filter((one) => one.region === region),
                  asking,
                ),
              ]),
            ),
          );
        }
      },
    ),
    { numRuns: 150, endOnFailure: true },
  );
}, 120_000);

const isSame = (one: Happened, other: Happened): boolean =>
  one.user === other.user && one.type === other.type && one.second === other.second;

const eventOf = ({ user, type, second, region }: Happened) =>
  event({
    event_time: instantOf(START + second * SECOND),
    event_type: type,
    user_id: `u${user}`,
    region,
  });

test("a user with 200,000 events, and a breakdown by 100,000 values, are answered", async () => {
  await db.pool.query("delete from stream_events");
  await db.pool.query(
    `insert into stream_events (
       event_id, event_time, event_type, user_id, product_id, topic, partition, record_offset,
       record_time, late_class
     )
     select
       gen_random_uuid(),
       timestamptz '2026-01-05T00:00:00Z' + n * interval '1 millisecond',
       case when n % 2 = 0 then 'a' else 'b' end,
       case when n < 200000 then 'one' else 'u' || n / 2 end,
       'p' || n,
       'events', 0, n, now(), 0
     from generate_series(0, 399999) as n`,
  );
  const range = "from=2026-01-05T00:00:00Z&to=2026-01-06T00:00:00Z";
  const { steps, groups } = await funnel(`steps=a,b,never&within=1h&by=product_id&${range}`);
  expect(steps.map(({ users }) => users)).toEqual([100_001, 100_001, 0]);
  expect(groups.length).toBe(21);
  expect(groups[0]?.value).toBe("p0");
  expect(groups[1]?.value).toBe("p200000");
  expect(groups.at(-1)).toMatchObject({ value: "other", is_rest: true });
  expect(groups.at(-1)?.steps[1]?.users).toBe(100_001 - 20);
}, 60_000);

const FILE = realInput("ecom.csv.gz");
const EXPECTED = realInput("ecom.expected.json");

describe.skipIf(FILE.isMissing)(FILE.named("the ecom file"), () => {
  test("gives the expected funnels", async () => {
    await db.pool.query("delete from stream_events");
    const [, ...lines] = gunzipSync(readFileSync(FILE.path)).toString().trim().split("\n");
    const events = lines.map((line) => {
      const [user_id, session_id, event_type, timestamp, platform] = line.split(",");
      const event_time = `${timestamp?.replace(" ", "T")}Z`;
      return event({ user_id, session_id, event_type, event_time, data: { platform } });
    });
    for (let at = 0; at < events.length; at += 5000) {
      await takeIn(worker, events.slice(at, at + 5000));
    }
    const { funnels } = JSON.parse(readFileSync(EXPECTED.path, "utf8")) as {
      funnels: { steps: string[]; within_minutes: number; users: number[] }[];
    };
    expect(funnels.length).toBeGreaterThan(0);
    for (const { steps, within_minutes, users } of funnels) {
      const range = "from=2024-01-01T00:00:00Z&to=2024-07-01T00:00:00Z";
      const answer = await funnel(
        `steps=${steps}&within=${within_minutes}m&by=data.platform&${range}`,
      );
      expect(answer.steps.map((step) => step.users)).toEqual(users);
      const sums = users.map((_, place) =>
        answer.groups.reduce((sum, group) => sum + (group.steps[place]?.users ?? 0), 0),
      );
      expect(sums).toEqual(users);
    }
  }, 60_000);
});
