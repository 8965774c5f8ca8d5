import { expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { httpClient } from "./http-client.ts";

const db = await testDatabase();
process.env.DATABASE_WORKER_URL = db.workerUrl;
process.env.DATABASE_REPORTS_URL = db.reportsUrl;
const client = await httpClient(await import("../../functions/http/dimensions.ts"), ["admin"]);

const put = (target: string, body: unknown) => client.ask("PUT", target, { body });
const SHOE = { name: "Shoe", category: "shoes", price: "19.90" };

test("a user is stored whole, answered, and the same again changes nothing", async () => {
  const ada = {
    name: "Ada",
    segment: "gold",
    region: "eu-west",
    registered_at: "2026-01-01T12:00:00+01:00",
  };
  const first = await put("/v1/users/u1", ada);
  expect([first.status, first.body]).toEqual([
    201,
    {
      user_id: "u1",
      ...ada,
      registered_at: "2026-01-01T11:00:00Z",
      updated_at: expect.any(String),
    },
  ]);
  const again = await put("/v1/users/u1", ada);
  expect([again.status, again.body]).toEqual([200, first.body]);
  const bare = await put("/v1/users/u1", { name: "Ada" });
  expect(bare.body).toMatchObject({ segment: null, region: null, registered_at: null });
  expect(bare.body.updated_at > first.body.updated_at).toBe(true);
});

test.each([
  ["slashes and percent signs", "a/b%2F c+d"],
  ["any script", "ürün-商品"],
  ["128 characters", "x".repeat(128)],
])("an id may hold %s", async (_, id) => {
  const { status, body } = await put(`/v1/users/${encodeURIComponent(id)}`, { name: "n" });
  expect([status, body.user_id]).toEqual([201, id]);
});

test("a product's stock and reorder point stay where they are left out", async () => {
  const first = await put("/v1/products/p1", SHOE);
  expect(first.body).toMatchObject({ price: "19.90", stock: 0, reorder_point: null });
  await put("/v1/products/p1", { ...SHOE, stock: 7, reorder_point: 3 });
  const dearer = await put("/v1/products/p1", { ...SHOE, price: 21.5 });
  expect(dearer.body).toMatchObject({ price: "21.50", stock: 7, reorder_point: 3 });
  const emptied = await put("/v1/products/p1", { ...SHOE, stock: 0 });
  expect(emptied.body).toMatchObject({ price: "19.90", stock: 0, reorder_point: 3 });
});

test.each([
  ["a price with three decimals", { price: "1.234" }, "/price"],
  ["a negative price", { price: -1 }, "/price"],
  ["a price that is too large", { price: "10000000000" }, "/price"],
  ["a price in words", { price: "free" }, "/price"],
  ["a negative stock", { stock: -1 }, "/stock"],
  ["half a thing in stock", { stock: 0.5 }, "/stock"],
  ["a stock beyond what is stored", { stock: 2_147_483_648 }, "/stock"],
  ["a negative reorder point", { reorder_point: -1 }, "/reorder_point"],
  ["an empty category", { category: "" }, "/category"],
  ["an unknown field", { colour: "red" }, "/colour"],
  ["no name", { name: undefined }, "/name"],
])("refuses %s", async (_, fields, path) => {
  const { status, body } = await put("/v1/products/p2", { ...SHOE, ...fields });
  expect([status, body.code, body.errors[0].path]).toEqual([400, "request.body", path]);
});

test.each([
  ["200 characters", "x".repeat(200)],
  ["NUL", "%00"],
])("refuses an id of %s", async (_, id) => {
  const { status, body } = await put(`/v1/users/${id}`, { name: "n" });
  expect([status, body.code, body.errors[0].path]).toEqual([400, "request.path", "/id"]);
});

test("refuses a path that holds a broken escape", async () => {
  expect((await put("/v1/users/%zz", { name: "n" })).body.code).toBe("request.path");
});

test("refuses a segment that is empty, and a time without an offset", async () => {
  const { body } = await put("/v1/users/u2", {
    name: "n",
    segment: "",
    registered_at: "2026-01-01T00:00:00",
  });
  expect(body.errors.map(({ path }: { path: string }) => path)).toEqual([
    "/segment",
    "/registered_at",
  ]);
});

test("an array stores what is good in it and says what is not, item by item", async () => {
  const { status, body } = await put("/v1/products", [
    { product_id: "a", ...SHOE },
    { product_id: "b", ...SHOE, price: "1.234" },
    "c",
    { ...SHOE },
    { product_id: "a", ...SHOE, category: "boots" },
  ]);
  expect(status).toBe(207);
  expect(body.products.map((verdict: { status: number }) => verdict.status)).toEqual([
    201, 400, 400, 400, 201,
  ]);
  expect(body.products[1]).toEqual({
    status: 400,
    code: "request.body",
    errors: [{ path: "/price", message: expect.stringContaining("at most 2 decimals") }],
  });
  const { rows } = await db.pool.query(
    "select product_id, category from dim_products where product_id in ('a', 'b')",
  );
  expect(rows).toEqual([{ product_id: "a", category: "boots" }]);
  const users = await put("/v1/users", [{ user_id: "x", name: "X" }]);
  expect([users.status, users.body]).toEqual([200, { users: [{ status: 201, user_id: "x" }] }]);
});

test("an array that is empty, too long or none at all is refused", async () => {
  const user = { user_id: "x", name: "X" };
  for (const body of [[], Array.from({ length: 501 }, () => user), user]) {
    expect((await put("/v1/users", body)).body.code).toBe("request.body");
  }
});

test("only an administrator may write dimensions", async () => {
  const token = await client.token("reports:read", "orders:write");
  for (const target of ["/v1/users/u1", "/v1/products/p1", "/v1/users", "/v1/products"]) {
    const { status, body } = await client.ask("PUT", target, { token, body: SHOE });
    expect([status, body.code]).toEqual([403, "token.scope"]);
  }
});
