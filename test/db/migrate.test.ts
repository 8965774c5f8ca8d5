import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import {
  createPool,
  dumpSchema,
  type MigrateOptions,
  migrate,
  type Pool,
  roleUrl,
} from "@headrace/db";
import { AppError } from "@headrace/kernel";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { rowsOf } from "./take-in.ts";

const db = await testDatabase();
const MIGRATIONS = new URL("../../packages/db/migrations/", import.meta.url);
const names = (await readdir(MIGRATIONS)).filter((name) => name.endsWith(".sql")).sort();

/** Empty databases, one per test and more where it asks. */
let made: { url: string; name: string; pool: Pool }[] = [];
async function emptyDatabase(): Promise<{ url: string; pool: Pool }> {
  const name = `${db.name}_${randomBytes(3).toString("hex")}`;
  await db.pool.query(`create database ${name} template template0`);
  const url = new URL(db.ownerUrl);
  url.pathname = `/${name}`;
  const pool = createPool({ connectionString: url.href, max: 2 });
  pool.on("error", () => {});
  made.push({ url: url.href, name, pool });
  return { url: url.href, pool };
}
let url: string;
let pool: Pool;
beforeEach(async () => {
  ({ url, pool } = await emptyDatabase());
});
afterEach(async () => {
  for (const { name, pool: each } of made) {
    await each.end();
    await db.pool.query(`drop database ${name} with (force)`);
  }
  made = [];
});

test("migrations are applied in order, once", async () => {
  expect(await migrate(url)).toEqual({ applied: names });
  const before = await dumpSchema(pool);
  expect(await migrate(url)).toEqual({ applied: [] });
  expect(await dumpSchema(pool)).toBe(before);
  expect(
    (await rowsOf(pool, "select name from migrations order by applied_at")).map(({ name }) => name),
  ).toEqual(names);
});

test("schema.sql is what the migrations make", async () => {
  await migrate(url);
  const file = await readFile(new URL("../schema.sql", MIGRATIONS), "utf8");
  expect(await dumpSchema(pool)).toBe(file);
});

test("two that migrate one database at once queue, and one of them applies everything", async () => {
  const runs = await Promise.all([migrate(url), migrate(url), migrate(url)]);
  expect(runs.map(({ applied }) => applied.length).sort()).toEqual([0, 0, names.length]);
});

test("several databases of one server are migrated at once, though they share the roles", async () => {
  const others = await Promise.all([emptyDatabase(), emptyDatabase(), emptyDatabase()]);
  const runs = await Promise.all([{ url }, ...others].map((it) => migrate(it.url)));
  expect(runs.map(({ applied }) => applied)).toEqual([names, names, names, names]);
});

test("a migration that was edited after it had been applied is refused by name", async () => {
  await migrate(url);
  await pool.query("update migrations set checksum = 'other' where name = $1", [names[1]]);
  await expect(migrate(url)).rejects.toMatchObject({
    kind: "conflict",
    code: "migration.edited",
    message: expect.stringContaining(names[1] ?? ""),
  });
});

test("a database that a newer release has migrated is refused", async () => {
  await migrate(url);
  await pool.query("insert into migrations (name, checksum) values ('9999-later.sql', 'x')");
  await expect(migrate(url)).rejects.toMatchObject({
    kind: "conflict",
    code: "migration.newer",
    message: expect.stringContaining("9999-later.sql"),
  });
});

test("a migration that fails leaves nothing of itself, and the next run goes on from it", async () => {
  // The third one finds a table of its name.
  await pool.query("create table stream_progress (mine integer)");
  await expect(migrate(url)).rejects.toThrow('relation "stream_progress" already exists');
  expect(await rowsOf(pool, "select name from migrations")).toHaveLength(2);
  await pool.query("drop table stream_progress");
  expect(await migrate(url)).toEqual({ applied: names.slice(2) });
});

test("retention is set where it is given, kept where it is not, and null keeps for ever", async () => {
  const kept = async () =>
    (
      await rowsOf(
        pool,
        "select state_retention::text as states, window_10s_retention::text as rows10s, window_1m_retention::text as rows1m from settings",
      )
    )[0];
  await migrate(url);
  expect(await kept()).toEqual({ states: "7 days", rows10s: "30 days", rows1m: "400 days" });
  await migrate(url, { state_retention: "3 days", window_10s_retention: null });
  expect(await kept()).toEqual({ states: "3 days", rows10s: null, rows1m: "400 days" });
  await migrate(url);
  expect(await kept()).toEqual({ states: "3 days", rows10s: null, rows1m: "400 days" });
});

const failureOf = (address: string, options: MigrateOptions = {}): Promise<AppError> =>
  migrate(address, {}, options).then(
    () => expect.fail("it was migrated"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(AppError);
      return error as AppError;
    },
  );
const changed = (change: (address: URL) => void): string => {
  const address = new URL(url);
  change(address);
  return address.href;
};

test.each([
  [
    "a wrong password",
    (it: URL) => {
      it.password = "wrong";
    },
    "refuses the password of",
  ],
  [
    "an unknown role",
    (it: URL) => {
      it.username = "nobody_here";
    },
    "nobody_here",
  ],
  [
    "an unknown database",
    (it: URL) => {
      it.pathname = "/not_there";
    },
    "has no database not_there",
  ],
  [
    "an unknown host",
    (it: URL) => {
      it.hostname = "no-such-host.invalid";
    },
    "is not known",
  ],
  [
    "a port where nothing listens",
    (it: URL) => {
      it.port = "1";
    },
    "nothing listens at 127.0.0.1:1",
  ],
])("%s gets a message that says what to do", async (_what, change, message) => {
  const error = await failureOf(changed(change));
  expect(error).toMatchObject({ kind: "unavailable", code: "database.unavailable" });
  expect(error.message).toContain(message);
  expect(error.message).toContain("correct DATABASE_URL");
});

test("a role that may not do this gets a message that says which role is needed", async () => {
  await migrate(url);
  const error = await failureOf(roleUrl(url, "headrace_worker"));
  expect(error.message).toContain("must name a role that may create roles and owns the database");
});

/** A server at another port, which hands the connection of each number to `serve`. */
async function atAnotherPort(serve: (socket: Socket, count: number) => void): Promise<string> {
  let count = 0;
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => {}));
    serve(socket, ++count);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return changed((it) => {
    it.port = String(port);
  });
}

test("a server that takes connections and never answers is given up with a message", async () => {
  let tries = 0;
  const address = await atAnotherPort((_, count) => {
    tries = count;
  });
  const error = await failureOf(address, { waitMs: 900 });
  expect(error).toMatchObject({ kind: "unavailable", code: "database.unavailable" });
  expect(error.message).toContain("does not answer");
  expect(tries).toBeGreaterThan(1);
});

test("a server that is silent or starts up at first is waited for", async () => {
  const { hostname, port } = new URL(url);
  const fields = "SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
  const startingUp = Buffer.concat([Buffer.from("E\0\0\0"), Buffer.from([4 + fields.length])]);
  let tries = 0;
  const address = await atAnotherPort((socket, count) => {
    tries = count;
    if (count === 2)
      socket.once("data", () => socket.end(Buffer.concat([startingUp, Buffer.from(fields)])));
    if (count < 3) return;
    const real = connect(Number(port), hostname).on("error", () => socket.destroy());
    socket.pipe(real).pipe(socket);
  });
  expect(await migrate(address, {}, { waitMs: 9_000 })).toEqual({ applied: names });
  expect(tries).toBeGreaterThanOrEqual(3);
});
