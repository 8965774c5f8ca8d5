import { expect, test } from "vitest";
import { DAY, reportsStage } from "./reports-stage.ts";

const { pool, client, ingest, ingestNow, finish, watermark, windowsOf } = await reportsStage();

test("tells every figure of a window, the same while it is open and once it is finished", async () => {
  await ingest(
    { time: "10:00:00", user_id: "a", value: 1, amount: 1.25, duration: 2 },
    { time: "10:00:05", user_id: "a", value: -3, amount: 2, duration: 4 },
    { time: "10:00:09.999999", user_id: "b", value: 8 },
    { time: "10:00:04", user_id: "c" },
  );
  const expected = {
    window_start: "2026-01-01T10:00:00Z",
    window_end: "2026-01-01T10:00:10Z",
    event_type: "page_view",
    event_count: 4,
    value_count: 3,
    value_sum: 6,
    value_mean: 2,
    value_min: -3,
    value_max: 8,
    value_stddev: expect.closeTo(Math.sqrt(31), 12),
    value_p50: expect.closeTo(1, 1),
    value_p95: expect.closeTo(1, 1),
    value_p99: expect.closeTo(1, 1),
    distinct_users: 3,
    revenue: "3.25",
    duration_mean: 3,
    final: false,
    revision: null,
    late_events: 1,
  };
  expect(await windowsOf(`size=10s&${DAY}`)).toEqual([expected]);
  await finish();
  expect(await windowsOf(`size=10s&${DAY}`)).toEqual([expected]);
  for (const [size, end] of [
    ["1m", "2026-01-01T10:01:00Z"],
    ["1h", "2026-01-01T11:00:00Z"],
  ]) {
    expect(await windowsOf(`size=${size}&${DAY}`)).toEqual([{ ...expected, window_end: end }]);
  }
  expect(await windowsOf(`size=1d&${DAY}`)).toEqual([
    {
      ...expected,
      window_start: "2026-01-01T00:00:00Z",
      window_end: "2026-01-02T00:00:00Z",
    },
  ]);
});

test("says null where there are no values, no durations and no spread", async () => {
  await ingest({ time: "10:00:00" }, { time: "10:00:20", value: 7 });
  const [none, one] = await windowsOf(`size=10s&${DAY}`);
  expect(none).toMatchObject({
    value_count: 0,
    value_sum: null,
    value_mean: null,
    value_min: null,
    value_max: null,
    value_stddev: null,
    value_p50: null,
    value_p99: null,
    revenue: "0.00",
    duration_mean: null,
  });
  expect(one).toMatchObject({ value_sum: 7, value_p50: 7, value_stddev: null });
});

test("becomes final when the watermark passes its end, and a late event revises it", async () => {
  await ingest({ time: "10:00:00" });
  const standing = async () => {
    const [{ event_count, final, revision, late_events }] = await windowsOf(`size=10s&${DAY}`);
    return [event_count, final, revision, late_events];
  };
  await finish();
  await watermark("2026-01-01T10:00:09.999999Z");
  expect(await standing()).toEqual([1, false, null, 0]);
  await watermark("2026-01-01T10:00:10Z");
  expect(await standing()).toEqual([1, true, 0, 0]);
  await finish();
  expect(await standing()).toEqual([1, true, 0, 0]);
  await ingest({ time: "10:30:00" });
  await ingest({ time: "10:00:05" });
  const query = `size=10s&from=2026-01-01T10:00:00Z&to=2026-01-01T10:00:10Z`;
  const seen = async () => (await windowsOf(query)).map((it: { revision: number }) => it.revision);
  expect(await seen()).toEqual([1]);
  expect((await windowsOf(query))[0]).toMatchObject({ event_count: 2, late_events: 1 });
  await finish();
  expect(await seen()).toEqual([1]);
});

test("makes a window again from raw events when a late event meets a row without a state", async () => {
  await ingest({ time: "10:00:00", user_id: "a", value: 3 });
  await watermark("2026-01-01T12:00:00Z");
  await finish();
  await pool.query("update realtime_aggregates set state = null where size in ('10s', '1m')");
  await ingest({ time: "10:00:05", user_id: "b", value: 5 });
  const query = `${DAY}&event_type=page_view`;
  for (const size of ["10s", "1m", "1h", "1d"]) {
    expect(await windowsOf(`size=${size}&${query}`)).toMatchObject([
      { event_count: 2, distinct_users: 2, value_sum: 8, value_max: 5 },
    ]);
  }
  const { body } = await client.get("/v1/reports/kpi?at=2026-01-01T10:01:00Z");
  expect(body.current).toMatchObject({ events: 2, unique_users: 2 });
});

test("leaves out what is past the retention of its size, open or not", async () => {
  await pool.query("update settings set window_10s_retention = '1 day'");
  await ingest({ time: "10:00:00" });
  const counts = async () => ({
    tens: (await windowsOf(`size=10s&${DAY}`)).length,
    minutes: (await windowsOf(`size=1m&${DAY}`)).length,
  });
  expect(await counts()).toEqual({ tens: 0, minutes: 1 });
  await finish();
  expect(await counts()).toEqual({ tens: 0, minutes: 1 });
  const { body } = await client.get("/v1/reports/kpi?window=10s&at=2026-01-01T10:00:10Z");
  expect(body.current.events).toBe(1);
});

test("holds the windows that start in [from, to)", async () => {
  await ingest({ time: "10:00:00" }, { time: "10:00:10" }, { time: "10:00:20" });
  const starts = async (from: string, to: string) =>
    (await windowsOf(`size=10s&from=2026-01-01T10:00:${from}Z&to=2026-01-01T10:00:${to}Z`)).map(
      (it: { window_start: string }) => it.window_start.slice(17, 19),
    );
  expect(await starts("00", "20")).toEqual(["00", "10"]);
  expect(await starts("00.000001", "20.000001")).toEqual(["10", "20"]);
  await finish();
  expect(await starts("00", "20")).toEqual(["00", "10"]);
  expect(await starts("00.000001", "20.000001")).toEqual(["10", "20"]);
});

test("without a range reaches from some windows back to what lies just ahead of the clock", async () => {
  await pool.query("select ensure_event_partitions(array[date_trunc('week', now())::date])");
  const at = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();
  await ingestNow(
    ...[-3 * 86_400, -700, -30, 100].map((seconds) => ({
      event_time: at(seconds),
      event_type: "page_view",
      user_id: "u",
    })),
  );
  const counts = await Promise.all(
    ["10s", "1d"].map(async (size) =>
      (await windowsOf(`size=${size}`)).reduce(
        (sum: number, it: { event_count: number }) => sum + it.event_count,
        0,
      ),
    ),
  );
  expect(counts).toEqual([2, 4]);
});

test("walks through pages without losing or repeating a window, open ones among finished", async () => {
  const times = Array.from({ length: 60 }, (_, n) => `10:${String(n).padStart(2, "0")}:00`);
  await ingest(...times.map((time) => ({ time })));
  await finish();
  await ingest(
    ...times.filter((_, n) => n % 3 === 0).map((time) => ({ time, event_type: "login" })),
    ...times.filter((_, n) => n % 4 === 0).map((time) => ({ time })),
  );
  const all = await windowsOf(`size=1m&${DAY}&limit=1000`);
  expect(all.length).toBe(80);
  const paged = [];
  const lengths = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const { body } = await client.get(
      `/v1/reports/windows?size=1m&${DAY}&limit=32${cursor && `&cursor=${cursor}`}`,
    );
    paged.push(...body.windows);
    lengths.push(body.windows.length);
    cursor = body.next_cursor;
  }
  expect(lengths).toEqual([32, 32, 16]);
  expect(paged).toEqual(all);
  const order = all.map(
    (it: { window_start: string; event_type: string }) => it.window_start + it.event_type,
  );
  expect(order).toEqual(order.toSorted());
});

test("a page that ends with the last window has no next one, and 100 is the standard", async () => {
  const times = Array.from({ length: 101 }, (_, n) => new Date(n * 10_000).toISOString());
  await ingest(...times.map((text) => ({ time: `10:${text.slice(14, 19)}` })));
  const first = await client.get(`/v1/reports/windows?size=10s&${DAY}`);
  expect(first.body.windows.length).toBe(100);
  const rest = await client.get(
    `/v1/reports/windows?size=10s&${DAY}&cursor=${first.body.next_cursor}`,
  );
  expect([rest.body.windows.length, rest.body.next_cursor]).toEqual([1, null]);
  const exact = await client.get(`/v1/reports/windows?size=10s&${DAY}&limit=101`);
  expect([exact.body.windows.length, exact.body.next_cursor]).toEqual([101, null]);
});

test("refuses a cursor that was forged, and one of another query", async () => {
  await ingest({ time: "10:00:00" }, { time: "10:00:10" });
  const page = await client.get(`/v1/reports/windows?size=10s&${DAY}&limit=1`);
  const cursor: string = page.body.next_cursor;
  const [version, fingerprint, [start, type, to]] = JSON.parse(
    Buffer.from(cursor, "base64url").toString(),
  );
  const forged = (...key: unknown[]) =>
    Buffer.from(JSON.stringify([version, fingerprint, key])).toString("base64url");
  const refused = [
    "x",
    "bm90IGpzb24",
    forged(),
    forged(start, type),
    forged("2026-01-01", type, to),
    forged(start, "x'; drop table realtime_aggregates; --", to),
    forged(start, "Upper", to),
    forged(2 ** 53, type, to),
    forged(-(2 ** 53) + 2, type, to),
    forged(to, type, start),
    forged(start, null, to),
  ];
  for (const one of refused) {
    const { status, body } = await client.get(
      `/v1/reports/windows?size=10s&${DAY}&limit=1&cursor=${one}`,
    );
    expect([one, status, body.code]).toEqual([one, 400, "cursor.invalid"]);
  }
  const other = await client.get(`/v1/reports/windows?size=1m&${DAY}&limit=1&cursor=${cursor}`);
  expect([other.status, other.body.code]).toEqual([400, "cursor.invalid"]);
  // One that fits shows no more than its query may.
  const early = forged(start - 86_400_000_000, type, to);
  const shown = await client.get(`/v1/reports/windows?size=10s&${DAY}&limit=1&cursor=${early}`);
  expect(shown.body.windows).toEqual(page.body.windows);
});

test.each([
  ["", "request.query", "/size"],
  ["size=", "request.query", "/size"],
  ["size=5m", "request.query", "/size"],
  ["size=1M", "request.query", "/size"],
  ["size=1m&event_type=Purchase", "request.query", "/event_type"],
  ["size=1m&event_type=", "request.query", "/event_type"],
  [`size=1m&event_type=${"a".repeat(65)}`, "request.query", "/event_type"],
  ["size=1m&limit=0", "request.query", "/limit"],
  ["size=1m&limit=1001", "request.query", "/limit"],
  ["size=1m&limit=1e2", "request.query", "/limit"],
  ["size=1m&from=now", "request.query", "/from"],
  ["size=1m&order=desc", "request.query", "/order"],
  ["size=1m&size=1h", "request.query", "/size"],
  ["size=1m&from=%zz", "request.query", "/from"],
  ["size=1m&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/to"],
  ["size=1m&from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/to"],
  ["size=10s&from=2010-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/from"],
  ["size=1h&from=2010-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "report.range", "/from"],
  ["size=1d&from=1970-01-01T00:00:00Z", "report.range", "/from"],
])("refuses ?%s", async (query, code, path) => {
  const { status, body } = await client.get(`/v1/reports/windows?${query}`);
  expect([status, body.code, body.errors[0].path]).toEqual([400, code, path]);
});

test("a refusal words the rule that was broken, the same one for every time out of range", async () => {
  const messages = async (query: string) =>
    (await client.get(`/v1/reports/windows?${query}`)).body.errors.map(
      (it: { message: string }) => it.message,
    );
  expect(await messages("size=2h")).toEqual(["must be one of 10s, 1m, 1h, 1d"]);
  expect(await messages("size=1m&limit=0")).toEqual(["must be a whole number from 1 to 1000"]);
  const years =
    "must be a time with an offset (2026-01-31T12:00:00Z) between the years 1700 and 2250";
  for (const from of ["1600-01-01T00:00:00Z", "1684-07-28T00:12:26Z", "2251-01-01T00:00:00Z"])
    expect(await messages(`size=1m&from=${from}`)).toEqual([years]);
});

// Last: every type that is not known by now is one of the others from here on.
test("counts types beyond the first thousand under other", async () => {
  await pool.query(
    `insert into event_types (event_type)
   select 't' || n
   from generate_series(1, 1000 - (select count(*) from event_types)) as n`,
  );
  await ingest(
    { time: "10:00:00", event_type: "t1" },
    { time: "10:00:00", event_type: "unlisted_a" },
    { time: "10:00:01", event_type: "unlisted_b" },
  );
  const types = async (filter = "") =>
    (await windowsOf(`size=1h&${DAY}${filter}`)).map(
      (it: { event_type: string; event_count: number }) => [it.event_type, it.event_count],
    );
  expect(await types()).toEqual([
    ["other", 2],
    ["t1", 1],
  ]);
  expect(await types("&event_type=other")).toEqual([["other", 2]]);
  expect(await types("&event_type=unlisted_a")).toEqual([]);
  await finish();
  expect(await types()).toEqual([
    ["other", 2],
    ["t1", 1],
  ]);
});
