import { expect, test } from "vitest";
import { httpClient } from "./http-client.ts";
import { DAY, reportsStage } from "./reports-stage.ts";

const { ingest, finish, pool } = await reportsStage();
const client = await httpClient(await import("../../functions/http/reports.ts"), ["reports:read"]);

const ask = (query: string) => client.get(`/v1/reports/funnel?${query}`);
const usersOf = (steps: readonly { users: number }[]) => steps.map(({ users }) => users);
const askUsers = async (query: string) => usersOf((await ask(`${DAY}&${query}`)).body.steps);

const view = (user: string, time: string, more = {}) => ({ user_id: user, time, ...more });
const cart = (user: string, time: string, more = {}) => ({
  user_id: user,
  time,
  event_type: "add_to_cart",
  ...more,
});
const buy = (user: string, time: string) => ({ user_id: user, time, event_type: "purchase" });
const STEPS = "steps=page_view,add_to_cart,purchase&within=1h";

test("counts who reaches each step, how many of how many, and the median time", async () => {
  await ingest(
    view("a", "10:00:00"),
    cart("a", "10:00:10"),
    buy("a", "10:01:10"),
    view("b", "10:00:00"),
    cart("b", "10:00:20.5"),
    view("c", "10:00:00"),
    cart("c", "10:00:40"),
    view("d", "10:00:00"),
    cart("e", "10:00:00"),
  );
  const { status, body } = await ask(`${DAY}&${STEPS}`);
  expect(status).toBe(200);
  expect(body).toEqual({
    steps: [
      {
        event_type: "page_view",
        users: 4,
        rate_from_previous: null,
        rate_from_first: 1,
        median_seconds_from_previous: null,
      },
      {
        event_type: "add_to_cart",
        users: 3,
        rate_from_previous: 0.75,
        rate_from_first: 0.75,
        median_seconds_from_previous: 20.5,
      },
      {
        event_type: "purchase",
        users: 1,
        rate_from_previous: 1 / 3,
        rate_from_first: 0.25,
        median_seconds_from_previous: 60,
      },
    ],
    overall_rate: 0.25,
    groups: [],
  });
});

test("a median of an even count is the mean of the two in the middle", async () => {
  await ingest(
    ...["a", "b", "c", "d"].flatMap((user, place) => [
      view(user, "10:00:00"),
      cart(user, `10:00:0${2 ** place}`),
    ]),
  );
  const { body } = await ask(`${DAY}&steps=page_view,add_to_cart&within=1m`);
  expect(body.steps[1].median_seconds_from_previous).toBe(3);
});

test("steps come strictly later, all within the limit of the first", async () => {
  await ingest(
    ...[view("same", "10:00:00"), cart("same", "10:00:00")],
    ...[view("limit", "10:00:00"), cart("limit", "10:30:00"), buy("limit", "11:00:00")],
    ...[view("late", "10:00:00"), cart("late", "10:30:00"), buy("late", "11:00:00.000001")],
    ...[view("again", "10:00:00"), cart("again", "10:01:00"), view("again", "11:00:00")],
    ...[cart("again", "11:00:30"), buy("again", "11:59:59")],
  );
  expect(await askUsers(STEPS)).toEqual([4, 3, 2]);
});

test("the first step lies in the range, later ones may follow", async () => {
  await ingest(
    view("a", "09:59:59.999999"),
    cart("a", "10:00:01"),
    view("b", "10:59:59.999999"),
    cart("b", "11:30:00"),
    view("c", "11:00:00"),
    cart("c", "11:00:01"),
  );
  const range = "from=2026-01-01T10:00:00Z&to=2026-01-01T11:00:00Z";
  const { body } = await ask(`${range}&steps=page_view,add_to_cart&within=1h`);
  expect(usersOf(body.steps)).toEqual([1, 1]);
});

test("a repeated step needs an event of its own each time", async () => {
  await ingest(
    ...["10:00:00", "10:01:00", "10:02:00"].map((time) => view("three", time)),
    ...["10:00:00", "10:01:00"].map((time) => view("two", time)),
    ...["10:00:00", "10:00:00"].map((time) => view("same", time)),
  );
  expect(await askUsers("steps=page_view,page_view,page_view&within=1h")).toEqual([3, 2, 1]);
  const twenty = Array.from({ length: 20 }, () => "page_view").join(",");
  expect((await askUsers(`steps=${twenty}&within=1h`)).slice(0, 4)).toEqual([3, 2, 1, 0]);
});

test("no users give null rates, also for types that were never seen", async () => {
  await ingest(view("a", "10:00:00"));
  const none = {
    users: 0,
    rate_from_previous: null,
    rate_from_first: null,
    median_seconds_from_previous: null,
  };
  expect((await ask(`${DAY}&steps=never,seen&within=1h&by=category`)).body).toEqual({
    steps: [
      { event_type: "never", ...none },
      { event_type: "seen", ...none },
    ],
    overall_rate: null,
    groups: [],
  });
});

const groupsOf = async (query: string) => {
  const { body } = await ask(`${DAY}&steps=page_view,add_to_cart&within=1h&${query}`);
  return body.groups.map((group: { value: unknown; is_rest: boolean; steps: never }) => [
    group.value,
    group.is_rest,
    usersOf(group.steps),
  ]);
};

test("by a field of the first step's event of the attempt that counts", async () => {
  await ingest(
    ...[view("a", "10:00:00", { category: "shoes" }), cart("a", "10:01:00", { category: "hats" })],
    ...[view("b", "10:00:00", { category: "shoes" }), view("b", "10:30:00", { category: "hats" })],
    ...[view("c", "10:00:00", { category: "hats" }), view("c", "12:00:00", { category: "coats" })],
    cart("c", "12:00:01"),
    view("d", "10:00:00"),
  );
  expect(await groupsOf("by=category")).toEqual([
    ["shoes", false, [2, 1]],
    ["coats", false, [1, 1]],
    [null, false, [1, 0]],
  ]);
  expect(await groupsOf("by=product_id")).toEqual([[null, false, [4, 2]]]);
  expect(await groupsOf("by=data.nowhere.to.be.found")).toEqual([[null, false, [4, 2]]]);
});

test("by a path in data: texts, numbers, what is nested, null as nothing", async () => {
  const views = [{ a: { b: "x" } }, { a: { b: 7 } }, { a: { b: { c: 1 } } }, { a: { b: null } }];
  await ingest(...views.map((data, place) => view(`u${place}`, "10:00:00", { data })));
  expect(await groupsOf("by=data.a.b")).toEqual([
    ["7", false, [1, 0]],
    ["x", false, [1, 0]],
    ['{"c": 1}', false, [1, 0]],
    [null, false, [1, 0]],
  ]);
});

test("twenty groups by users, then value; the rest apart from a value of the same name", async () => {
  const categories = ["other", ...Array.from({ length: 24 }, (_, n) => `c${10 + n}`)];
  await ingest(
    ...categories.map((category, place) => view(`u${place}`, "10:00:00", { category })),
    ...[view("more", "10:00:00", { category: "c33" }), cart("more", "10:01:00")],
    view("x", "10:00:00", { category: "other" }),
  );
  const groups = await groupsOf("by=category");
  expect(groups.length).toBe(21);
  expect(groups.slice(0, 3)).toEqual([
    ["c33", false, [2, 1]],
    ["other", false, [2, 0]],
    ["c10", false, [1, 0]],
  ]);
  expect(groups[19]).toEqual(["c27", false, [1, 0]]);
  expect(groups[20]).toEqual(["other", true, [5, 0]]);
});

test("refuses what would not fit in memory", async () => {
  await ingest(view("a", "10:00:00"));
  await finish();
  await pool.query("update realtime_aggregates set event_count = 20000001 where size = '1h'");
  const { status, body } = await ask(`${DAY}&${STEPS}`);
  expect([status, body.code]).toEqual([400, "funnel.too_large"]);
  const other = await ask(`${DAY}&steps=a,b&within=1h`);
  expect(other.status).toBe(200);
});

test.each([
  ["steps=page_view&within=1h", "/steps"],
  ["steps=&within=1h", "/steps/0"],
  ["steps=page_view,&within=1h", "/steps/1"],
  ["steps=page_view,Purchase&within=1h", "/steps/1"],
  ["within=1h", "/steps"],
  [`steps=${Array.from({ length: 21 }, () => "a").join(",")}&within=1h`, "/steps"],
  ["steps=a,b", "/within"],
  ["steps=a,b&within=0s", "/within"],
  ["steps=a,b&within=0", "/within"],
  ["steps=a,b&within=365d", "/within"],
  ["steps=a,b&within=1h&by=", "/by"],
  ["steps=a,b&within=1h&by=colour", "/by"],
  ["steps=a,b&within=1h&by=user_id", "/by"],
  ["steps=a,b&within=1h&by=data", "/by"],
  ["steps=a,b&within=1h&by=data.", "/by"],
  ["steps=a,b&within=1h&by=data.a..b", "/by"],
  ["steps=a,b&within=1h&by=data.1.2.3.4.5.6.7.8.9", "/by"],
])("refuses ?%s", async (query, path) => {
  const { status, body } = await ask(query);
  expect([status, body.code, body.errors[0].path]).toEqual([400, "request.query", path]);
});

test("a step that is no event type is told what it must be, not that it is missing", async () => {
  const { body } = await ask("steps=page_view,Purchase&within=1h");
  expect(body.errors).toEqual([
    { path: "/steps/1", message: "must be 1 to 64 of a-z, 0-9, _ and . and begin with a letter" },
  ]);
});

test("refuses an empty range and one of more than 400 days", async () => {
  for (const range of [
    "from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z",
    "from=2024-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
  ]) {
    const { status, body } = await ask(`${range}&${STEPS}`);
    expect([status, body.code]).toEqual([400, "report.range"]);
  }
});
