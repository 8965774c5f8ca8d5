/** What the decoder lets through, PostgreSQL stores as it is: it decodes without knowing the database. */
import { decodeEvent, type Event, isRefusal } from "@headrace/events";
import fc from "fast-check";
import pg from "pg";
import { afterAll, expect, test } from "vitest";
import { adminUrl } from "../support/servers.ts";
import { anyRecord, json, jsonWith, OPTIONS, POSITION } from "./records.ts";

const client = new pg.Client({ connectionString: await adminUrl() });
await client.connect();
afterAll(() => client.end());

const accepted = (text: string | Buffer): Event[] => {
  const outcome = decodeEvent(Buffer.from(text), POSITION, OPTIONS);
  return isRefusal(outcome) ? [] : [outcome];
};

/** PostgreSQL's numeric knows no -0. */
const parse = (text: string): unknown =>
  JSON.parse(text, (_name, value: unknown) => (value === 0 ? 0 : value));

async function expectStored(events: readonly Event[]): Promise<void> {
  const columns = [
    events.map((event) => event.id),
    events.map((event) => event.timeText),
    events.map((event) => event.userId),
    events.map((event) => event.value),
    events.map((event) => event.amountCents),
    events.map((event) => event.durationSeconds),
    events.map((event) => event.category),
    events.map((event) => event.data),
  ];
  const { rows } = await client.query(
    `select
       id::text,
       (extract(epoch from time) * 1000000)::bigint::text as time_micros,
       user_id, value, amount_cents::text, duration, category,
       data::text,
       (
         select count((number #>> '{}')::float8)
         from jsonb_path_query(data, '$.** ? (@.type() == "number")') number
       )
     from unnest(
       $1::uuid[], $2::timestamptz[], $3::text[], $4::float8[],
       $5::bigint[], $6::float8[], $7::text[], $8::jsonb[]
     ) event (id, time, user_id, value, amount_cents, duration, category, data)`,
    columns,
  );
  expect(rows.length).toBe(events.length);
  rows.forEach((row, n) => {
    const event = events[n] as Event;
    expect(row).toMatchObject({
      id: event.id,
      time_micros: String(event.timeMicros),
      user_id: event.userId,
      value: event.value,
      amount_cents: event.amountCents === null ? null : String(event.amountCents),
      duration: event.durationSeconds,
      category: event.category,
    });
    if (event.data !== null) expect(parse(row.data)).toEqual(parse(event.data));
  });
}

test("any event that is accepted is stored as it was read", async () => {
  let stored = 0;
  const records = fc.array(anyRecord, { minLength: 200, maxLength: 200 });
  const law = fc.asyncProperty(records, async (batch) => {
    const events = batch.flatMap(accepted);
    await expectStored(events);
    stored += events.length;
  });
  await fc.assert(law, { numRuns: 15, endOnFailure: true });
  expect(stored).toBeGreaterThan(500);
});

test("events at the edge of what is accepted are stored", async () => {
  const numbers = [
    "5e-324",
    "1.7976931348623157e308",
    "0e-16383",
    "0e16383",
    `0.${"0".repeat(15_000)}`,
    `1${"0".repeat(308)}`,
    `1.${"0".repeat(16_000)}1`,
    `1e-323`,
    `0.${"0".repeat(300)}1e300`,
  ];
  const nested = '{"a":'.repeat(64) + 0 + "}".repeat(64);
  const texts = [
    ...numbers.map((number) => jsonWith("data", `{"a":${number}}`)),
    jsonWith("data", nested),
    jsonWith("data", '{"a":"\\ud83d\\ude00\\u0001\\u007f\uFFFF\uFFFE","":null,"a":2}'),
    json({ data: { ["k".repeat(16_000)]: 1 } }),
    json({ user_id: "\uFFFF".repeat(128), category: "\u0001\u007f\u200b" }),
    json({ value: 5e-324, duration: Number.MAX_VALUE, amount: "9999999999.99" }),
  ];
  const events = texts.flatMap(accepted);
  expect(events.length).toBe(texts.length);
  await expectStored(events);
});

test.each([
  ["a scale beyond numeric's", "0e-20000", "numeric format"],
  ["what no double can hold", "1e400", "out of range"],
  ["what a double rounds to 0", "1e-400", "out of range"],
])("PostgreSQL itself refuses %s, %s", async (_name, number, message) => {
  expect(accepted(jsonWith("data", `{"a":${number}}`))).toEqual([]);
  const cast = client.query("select ($1::jsonb #>> '{}')::float8", [number]);
  await expect(cast).rejects.toThrow(message);
});
