import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { silentLogger } from "@headrace/kernel";
import { loadShop, runLoad, type Surroundings } from "@headrace/traffic";
import { afterAll, beforeEach, expect, test } from "vitest";
import { httpClient } from "../functions/http-client.ts";
import { testDatabase } from "../support/database.ts";
import { testFiles } from "./files.ts";

const db = await testDatabase();
process.env.DATABASE_WORKER_URL = db.workerUrl;
const client = await httpClient(await import("../../functions/http/dimensions.ts"), ["admin"]);
const write = testFiles();

/** The real routes behind a real server; `failures` answers come first. */
const failures: number[] = [];
let requests = 0;
const server = createServer((request, response) => {
  void (async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests++;
    const failure = failures.shift();
    if (failure !== undefined) {
      response.writeHead(failure).end("{}");
      return;
    }
    const { status, body } = await client.ask(request.method ?? "", request.url ?? "", {
      body: Buffer.concat(chunks).toString(),
      token: (request.headers.authorization ?? "").replace("Bearer ", ""),
    });
    response.writeHead(status).end(JSON.stringify(body));
  })();
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

beforeEach(async () => {
  await db.pool.query("truncate dim_users, dim_products");
  failures.length = 0;
  requests = 0;
});

async function load(
  argv: readonly string[],
  more: Partial<Surroundings> & { token?: string } = {},
) {
  let [out, err] = ["", ""];
  const code = await runLoad(argv, {
    env: {
      HEADRACE_HOME: "/nowhere",
      HEADRACE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      HEADRACE_TOKEN: more.token ?? (await client.token("admin")),
    },
    stdin: () => Readable.from([]),
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    errIsTerminal: false,
    clock: { now: () => Date.now() },
    signal: new AbortController().signal,
    ...more,
  });
  return { code, out, err };
}

const rows = async (text: string) => (await db.pool.query(text)).rows;

test("a CSV file of users is stored, with empty cells absent and times in UTC", async () => {
  const file = write(
    "users.csv",
    'user_id,name,segment,registered_at,shoe\nu1,"Ada, Countess",gold,2026-01-31 10:15:00,44\n7,Bob,,,\n',
  );
  const { code, out, err } = await load(["users", file]);
  expect([code, out]).toEqual([0, "loaded 2, bad lines 0\n"]);
  expect(err).toContain("left out: shoe\n");
  expect(
    await rows("select user_id, name, segment, registered_at from dim_users order by 1"),
  ).toEqual([
    { user_id: "7", name: "Bob", segment: null, registered_at: null },
    {
      user_id: "u1",
      name: "Ada, Countess",
      segment: "gold",
      registered_at: Date.UTC(2026, 0, 31, 10, 15) * 1000,
    },
  ]);
});

test("a gzip of NDJSON is stored too, and numbers may be ids", async () => {
  const lines = [
    { product_id: 12, name: "Shoe", category: "shoes", price: 19.9, stock: 3 },
    { product_id: "p2", name: "Sock", category: "socks", price: "2.5", reorder_point: 1 },
  ];
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  expect((await load(["products", write("products.ndjson.gz", gzipSync(text))])).code).toBe(0);
  expect(
    await rows("select product_id, price, stock, reorder_point from dim_products order by 1"),
  ).toEqual([
    { product_id: "12", price: "19.90", stock: 3, reorder_point: null },
    { product_id: "p2", price: "2.50", stock: 0, reorder_point: 1 },
  ]);
});

test("bad lines are counted and listed by their numbers, and the rest is stored", async () => {
  const file = write(
    "products.csv",
    [
      "product_id,name,category,price,stock",
      "p1,Shoe,shoes,1.234,1",
      "p2,Sock,socks,2.50,-1",
      "p3,Hat",
      `p4,${"x".repeat(1024 * 1024 + 1)},hats,1,1`,
      `${"x".repeat(200)},Scarf,hats,1,1`,
      ",Glove,hats,1,1",
      "p8,Cap,hats,3,",
    ].join("\n"),
  );
  const { code, out } = await load(["products", file]);
  expect(code).toBe(0);
  expect(out.split("\n")).toEqual([
    "bad lines:",
    expect.stringMatching(/^ {2}line 2: price must be money .* at most 2 decimals$/),
    expect.stringMatching(/^ {2}line 3: stock must be a whole number/),
    "  line 4: has 2 columns, the header 5",
    "  line 5: is longer than 65536 bytes",
    expect.stringMatching(/^ {2}line 6: product_id must be at most 128 characters$/),
    "  line 7: product_id is missing",
    "loaded 1, bad lines 6",
    "",
  ]);
  expect(await rows("select product_id from dim_products")).toEqual([{ product_id: "p8" }]);
});

test("a file of which no line can be stored is a failure, and so is an empty one", async () => {
  const lines = Array.from({ length: 1200 }, (_, n) => `u${n},`);
  const none = await load(["users", write("users.csv", `user_id,name\n${lines.join("\n")}\n`)]);
  expect([none.code, requests]).toEqual([1, 3]);
  expect(none.out).toContain(
    "  line 21: name is missing\n  and 1180 more\nloaded 0, bad lines 1200",
  );
  const empty = await load(["users", write("users.csv", "")]);
  expect([empty.code, empty.err]).toEqual([1, expect.stringContaining("is empty")]);
  const headerOnly = await load(["users", write("users.csv", "user_id,name\n")]);
  expect([headerOnly.code, headerOnly.out]).toEqual([0, "loaded 0, bad lines 0\n"]);
});

test("a CSV file without a column that is needed is refused before anything is sent", async () => {
  const { code, err } = await load(["products", write("p.csv", "product_id,title\np1,Shoe\n")]);
  expect([code, requests]).toEqual([1, 0]);
  expect(err).toContain("has no column name, category, price");
});

test("lines that fill a request are sent in several, each line once", async () => {
  const name = "ü".repeat(512);
  const lines = Array.from({ length: 2300 }, (_, n) => `u${n},${name}`);
  const { out } = await load(["users", write("u.csv", `user_id,name\n${lines.join("\n")}\n`)]);
  expect([out, requests]).toEqual(["loaded 2300, bad lines 0\n", 5]);
  expect(await rows("select count(*)::int as n from dim_users")).toEqual([{ n: 2300 }]);
});

test("a system that is away for a moment is asked again; one that refuses the token is not", async () => {
  const file = write("u.csv", "user_id,name\nu1,Ada\n");
  failures.push(503);
  expect(await load(["users", file])).toMatchObject({ code: 0, out: "loaded 1, bad lines 0\n" });
  requests = 0;
  const refused = await load(["users", file], { token: await client.token("reports:read") });
  expect([refused.code, requests]).toEqual([1, 1]);
  expect(refused.err).toContain("must be valid and have the scope admin");
});

test("where no system runs, what to do is said", async () => {
  const file = write("u.csv", "user_id,name\nu1,Ada\n");
  const { code, err } = await load(["users", file], { env: { HEADRACE_HOME: "/nowhere" } });
  expect([code, err]).toEqual([1, expect.stringContaining("HEADRACE_URL")]);
});

test.each([[[]], [["shoes", "f.csv"]], [["users"]], [["users", "a", "b"]], [["--fast"]]])(
  "wrong arguments are refused: %j",
  async (argv) => {
    const { code, err } = await load(argv);
    expect([code, err]).toEqual([2, expect.stringContaining("npm run load -- --help")]);
  },
);

test("the simulated shop's products and customers are stored, and a failure is only logged", async () => {
  const api = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: await client.token("admin"),
  };
  const { signal } = new AbortController();
  await loadShop({ api, customers: 700, signal });
  expect(
    await rows(
      `select
         (select count(*)::int from dim_products) as products,
         (select count(distinct category)::int from dim_products) as categories,
         (select count(*)::int from dim_users) as users,
         (select count(distinct segment)::int from dim_users) as segments`,
    ),
  ).toEqual([{ products: 400, categories: 8, users: 700, segments: 3 }]);
  const told: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => void told.push(message) };
  await loadShop({ api: { ...api, token: "none" }, customers: 1, signal, log });
  expect(told).toEqual(["the simulated shop's products and customers could not be stored"]);
});

test("help tells the columns", async () => {
  const { code, out } = await load(["--help"]);
  expect(code).toBe(0);
  expect(out).toContain("product_id, name, category, price, [stock], [reorder_point]");
});

test("--home names the folder of the system that is loaded", async () => {
  const path = write("a.csv", "user_id,name\nu1,Ada\n");
  const elsewhere = await load(["users", path, "--home", "/elsewhere"], { env: {} });
  expect(elsewhere.code).toBe(1);
  expect(elsewhere.err).toContain("no Headrace is running on /elsewhere");
});
