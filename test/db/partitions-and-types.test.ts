import { createPool, makePartitionsAhead, sqlState } from "@headrace/db";
import { beforeEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { event, rowsOf, takeIn, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl, 8);
beforeEach(() => db.pool.query("truncate event_types"));

const ensure = (weeks: readonly string[]) =>
  worker.query("select ensure_event_partitions($1::date[])", [weeks]);
const partitions = async (): Promise<unknown[]> =>
  (
    await rowsOf(
      db.pool,
      `select relname || ' ' || pg_get_expr(relpartbound, oid) as partition
       from pg_class
       where oid in (select inhrelid from pg_inherits where inhparent = 'stream_events'::regclass)
       order by relname`,
    )
  ).map(({ partition }) => partition);

test("a week's partition holds its Monday to its Sunday, in UTC", async () => {
  await db.pool.query("alter role headrace_worker set timezone = 'UTC'");
  await worker.query("set timezone = 'America/New_York'");
  await ensure(["2026-03-02"]);
  await worker.query("set timezone = 'UTC'");
  expect(await partitions()).toContain(
    "stream_events_20260302 FOR VALUES FROM ('2026-03-02 00:00:00+00') TO ('2026-03-09 00:00:00+00')",
  );
});

test("many that make the same partitions at once, in any order, make each once", async () => {
  const weeks = ["2025-06-02", "2025-06-09", "2025-06-16", "2025-06-23"];
  const before = (await partitions()).length;
  await Promise.all(
    Array.from({ length: 12 }, (_, index) => ensure(index % 2 ? weeks : weeks.toReversed())),
  );
  expect((await partitions()).length).toBe(before + 4);
});

test("a day that is no Monday is refused, and nothing is made", async () => {
  const before = await partitions();
  await expect(ensure(["2024-01-01", "2024-01-09"])).rejects.toThrow("2024-01-09 is no Monday");
  expect(await partitions()).toEqual(before);
});

test("a partition is made beside a reader that holds the whole table open", async () => {
  const reader = await db.pool.connect();
  try {
    await reader.query("begin isolation level repeatable read");
    await reader.query("select count(*) from stream_events");
    // The worker's lock_timeout of 5 s would end it, were it to wait.
    await ensure(["2024-02-05"]);
    expect(await partitions()).toContainEqual(expect.stringContaining("stream_events_20240205"));
  } finally {
    await reader.query("rollback");
    reader.release();
  }
});

test("a new partition has the table's indexes, checks and defaults", async () => {
  await ensure(["2024-03-04"]);
  await expect(
    db.pool.query(
      `insert into stream_events_20240304
         (event_id, event_time, event_type, user_id, topic, partition, record_offset, record_time, late_class)
       values (gen_random_uuid(), '2024-03-05', 't', 'u', 't', 0, 0, now(), 9)`,
    ),
  ).rejects.toThrow("stream_events_late_class_is_known");
  const [row] = await rowsOf(
    db.pool,
    `select
       (select count(*) from pg_index where indrelid = 'stream_events_20240304'::regclass) as indexes,
       (select count(*) from pg_index where indrelid = 'stream_events'::regclass) as wanted,
       (
         select pg_get_expr(adbin, adrelid)
         from pg_attrdef
         join pg_attribute on attrelid = adrelid and attnum = adnum
         where adrelid = 'stream_events_20240304'::regclass and attname = 'tx'
       ) as tx`,
  );
  expect(row?.indexes).toBe(row?.wanted);
  expect(row?.tx).toContain("pg_current_xact_id");
});

test("the coming weeks' partitions are made, as many as settings say, and made ones are left", async () => {
  await db.pool.query("update settings set partition_weeks_ahead = 3");
  await makePartitionsAhead(worker);
  await makePartitionsAhead(worker);
  const [row] = await rowsOf(
    db.pool,
    `select count(*) as missing
     from generate_series(0, 3) as ahead
     where to_regclass(
       'stream_events_' || to_char(date_trunc('week', now() at time zone 'UTC') + make_interval(weeks => ahead), 'YYYYMMDD')
     ) is null`,
  );
  expect(row).toEqual({ missing: 0 });
});

test("a partition that was dropped behind a running process is made again", async () => {
  const old = () => event({ event_time: "2023-05-03T00:00:00Z" });
  await takeIn(worker, [old()]);
  await db.pool.query("drop table stream_events_20230501");
  await takeIn(worker, [old()]);
  expect(await rowsOf(db.pool, "select from stream_events_20230501")).toHaveLength(1);
});

const register = async (names: readonly string[]): Promise<string[]> =>
  (
    await worker.query<{ name: string }>("select register_event_types($1) as name", [names])
  ).rows.map(({ name }) => name);
const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}_${index}`);
const known = async (): Promise<number> =>
  Number((await rowsOf(db.pool, "select count(*) as n from event_types"))[0]?.n);

test("types are registered in the order given until 1,000 are known", async () => {
  expect(await register(numbered("a", 999))).toHaveLength(999);
  expect(await register(["b", "c", "a_5"])).toEqual(expect.arrayContaining(["b", "a_5"]));
  expect(await register(["c"])).toEqual([]);
  expect(await known()).toBe(1000);
});

test("many that register at once never pass the limit, and each learns which of its own are known", async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) => register([...numbered(`t${index}`, 200), "shared"])),
  );
  expect(await known()).toBe(1000);
  const total = answers.flat().filter((name) => name !== "shared").length;
  expect(total).toBe(999);
});

test("other is no type of its own, and a type given twice is registered once", async () => {
  expect(await register(["other", "x", "x"])).toEqual(["x"]);
  expect(await known()).toBe(1);
});

test("functions that change the schema are closed to those who only read", async () => {
  const reports = createPool({ connectionString: db.reportsUrl, max: 1 });
  try {
    for (const call of ["ensure_event_partitions('{}')", "register_event_types('{}')"]) {
      const refused = await reports.query(`select ${call}`).catch(sqlState);
      expect(refused).toBe("42501");
    }
  } finally {
    await reports.end();
  }
});
