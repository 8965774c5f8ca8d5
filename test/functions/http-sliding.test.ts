import { expect, test } from "vitest";
import { DAY, reportsStage } from "./reports-stage.ts";

const { pool, client, ingest, finish } = await reportsStage();

const ask = (query: string) => client.get(`/v1/reports/sliding?event_type=page_view&${query}`);
const pointsOf = async (query: string) => (await ask(query)).body.points;
const figuresOf = async (query: string) =>
  (await pointsOf(query)).map((point: Record<string, unknown>) => [
    point.value,
    point.moving_sum,
    point.moving_mean,
  ]);

const spend = () =>
  ingest(
    { time: "10:00:00", value: 1 },
    { time: "10:00:05", value: 2 },
    { time: "10:00:05", event_type: "purchase", value: 1000 },
    { time: "10:00:20" },
    { time: "10:00:20", value: 4 },
    { time: "10:01:00", value: -8 },
    { time: "10:02:00.000001" },
  );

test("rows: the last events of the type, those without a value counted", async () => {
  await spend();
  const expected = [
    [1, 1, 1],
    [2, 3, 1.5],
    [null, 3, 1.5],
    [4, 6, 3],
    [-8, -4, -2],
    [null, -4, -2],
  ];
  expect(await figuresOf(`${DAY}&rows=3`)).toEqual(expected);
  await finish();
  expect(await figuresOf(`${DAY}&rows=3`)).toEqual(expected);
  expect((await figuresOf(`${DAY}&rows=1`)).at(-1)).toEqual([null, null, null]);
  expect((await pointsOf(`${DAY}&rows=3`))[0]).toEqual({
    event_time: "2026-01-01T10:00:00Z",
    event_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    value: 1,
    moving_mean: 1,
    moving_sum: 1,
  });
});

test("without rows or range, frames are of ten events, and reach back before `from`", async () => {
  await ingest(...Array.from({ length: 12 }, (_, n) => ({ time: `10:00:${10 + n}`, value: n })));
  expect(await figuresOf("from=2026-01-01T10:00:21Z&to=2026-01-01T11:00:00Z")).toEqual([
    [11, 65, 6.5],
  ]);
});

test("range: everything from a stretch before the event to all events of its instant", async () => {
  await spend();
  const expected = [
    [1, 1, 1],
    [2, 3, 1.5],
    [null, 7, 7 / 3],
    [4, 7, 7 / 3],
    [-8, -4, -2],
    [null, null, null],
  ];
  // The event at 10:00:20 is 40 s before the one at 10:01:00, which still holds it.
  expect(await figuresOf(`${DAY}&range=40s`)).toEqual(expected);
  await finish();
  expect(await figuresOf(`${DAY}&range=40s`)).toEqual(expected);
});

test("range and step: a point at the end of every step, also where nothing happened", async () => {
  await spend();
  const range = "from=2026-01-01T10:00:00Z&to=2026-01-01T10:01:30Z&range=30s&step=20s";
  const expected = [
    ["2026-01-01T10:00:00Z", null, null, null, null],
    ["2026-01-01T10:00:20Z", null, 3, 3, 1.5],
    ["2026-01-01T10:00:40Z", null, 4, 4, 4],
    ["2026-01-01T10:01:00Z", null, null, null, null],
    ["2026-01-01T10:01:20Z", null, -8, -8, -8],
  ];
  const figures = async () =>
    (await pointsOf(range)).map((point: Record<string, unknown>) => [
      point.event_time,
      point.event_id,
      point.value,
      point.moving_sum,
      point.moving_mean,
    ]);
  expect(await figures()).toEqual(expected);
  await finish();
  expect(await figures()).toEqual(expected);
  const { body } = await ask(`${range}&limit=2`);
  const next = await ask(`${range}&cursor=${body.next_cursor}`);
  expect([...body.points, ...next.body.points]).toEqual(await pointsOf(range));
});

test("events of one instant come by their ids, whatever UUID these are, over pages too", async () => {
  const ids = [
    "00000000-0000-0000-0000-000000000000",
    "0a000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
  ];
  const shuffled = [ids[2], ids[0], ids[1]];
  await ingest(...shuffled.map((event_id, n) => ({ time: "10:00:00", event_id, value: 2 ** n })));
  const range = "from=2026-01-01T10:00:00Z&to=2026-01-01T11:00:00Z";
  for (const [frame, sums] of [
    ["rows=2", [2, 6, 5]],
    ["range=1s", [7, 7, 7]],
  ] as const) {
    const seen: unknown[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const { body } = await ask(`${range}&${frame}&limit=1${cursor && `&cursor=${cursor}`}`);
      for (const point of body.points) seen.push([point.event_id, point.moving_sum]);
      cursor = body.next_cursor;
    }
    expect(seen).toEqual(ids.map((id, place) => [id, sums[place]]));
  }
});

test("pages follow each other through the cursor, a type never seen is an empty list", async () => {
  await spend();
  const seen = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const { body } = await ask(`${DAY}&rows=3&limit=2${cursor && `&cursor=${cursor}`}`);
    seen.push(...body.points);
    cursor = body.next_cursor;
  }
  expect(seen).toEqual(await pointsOf(`${DAY}&rows=3`));
  const { body } = await client.get(`/v1/reports/sliding?event_type=never_seen&${DAY}`);
  expect(body).toEqual({ points: [], next_cursor: null });
});

test("steps from which neither windows nor events are kept are refused", async () => {
  await spend();
  await finish();
  await pool.query("update clock set raw_from = '2026-02-01T00:00:00Z'");
  const query = "from=2026-01-01T10:00:00Z&to=2026-01-01T10:01:30Z&range=30s&step=20s";
  expect((await ask(query)).status).toBe(200);
  await pool.query("update settings set window_10s_retention = '1 day'");
  const { status, body } = await ask(query);
  expect([status, body.code]).toEqual([400, "report.expired"]);
});

test.each([
  ["rows=0", "/rows"],
  ["rows=1000000", "/rows"],
  ["rows=-1", "/rows"],
  ["rows=ten", "/rows"],
  ["range=0s", "/range"],
  ["range=1y", "/range"],
  ["range=32d", "/range"],
  ["rows=10&range=5m", "/rows"],
  ["step=10s", "/step"],
  ["range=5m&step=15s", "/step"],
  ["range=5m&step=2d", "/step"],
  ["range=15s&step=10s", "/range"],
  ["limit=1001", "/limit"],
])("refuses ?%s", async (query, path) => {
  const { status, body } = await ask(query);
  expect([status, body.code, body.errors[0].path]).toEqual([400, "request.query", path]);
});

test("asks for an event type that can be one", async () => {
  for (const query of ["", "event_type=", "event_type=Page", "event_type=%25"]) {
    const { status, body } = await client.get(`/v1/reports/sliding?${query}`);
    expect([status, body.code, body.errors[0].path]).toEqual([400, "request.query", "/event_type"]);
  }
});

test("refuses an empty range and one of more than 400 days", async () => {
  for (const range of [
    "from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z",
    "from=2024-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
  ]) {
    const { status, body } = await ask(range);
    expect([status, body.code]).toEqual([400, "report.range"]);
  }
});
