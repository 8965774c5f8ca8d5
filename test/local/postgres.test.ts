import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@headrace/db";
import { type PostgresOptions, removePostgres, startPostgres } from "@headrace/local";
import { Client, DatabaseError, type QueryResultRow } from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { TEST_SETTINGS } from "../support/servers.ts";
import { commandLine, killGuardOf, runElsewhere, untilGone } from "./elsewhere.ts";

const asRoot = process.getuid?.() === 0;
const PASSWORD = "an owner's pässword/@";

let base: string;
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "headrace-postgres-"));
  await chmod(base, 0o755);
});
afterAll(() => rm(base, { recursive: true, force: true }));

let folders = 0;
const newFolder = (): string => join(base, `server ${++folders}`);

async function start(folder: string, options: Partial<PostgresOptions> = {}) {
  const server = await startPostgres({
    folder,
    password: PASSWORD,
    settings: TEST_SETTINGS,
    ...options,
  });
  onTestFinished(() => server.kill());
  return server;
}

async function query<Row extends QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

async function setting(url: string, name: string): Promise<string | undefined> {
  return (await query<Record<string, string>>(url, `show ${name}`))[0]?.[name];
}

test("without settings of one's own everything committed is on disk, and limits are set", async () => {
  const { url } = await start(newFolder(), { settings: {} });
  const shown = await query<{ name: string; value: string }>(
    url,
    "select name, current_setting(name) as value from pg_settings",
  );
  expect(Object.fromEntries(shown.map(({ name, value }) => [name, value]))).toMatchObject({
    fsync: "on",
    full_page_writes: "on",
    synchronous_commit: "on",
    data_checksums: "on",
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_locks_per_transaction: "256",
    temp_file_limit: "2GB",
    deadlock_timeout: "200ms",
    TimeZone: "UTC",
  });
  const databases = await query(
    url,
    "select pg_encoding_to_char(encoding) as encoding, datlocale as locale from pg_database where datname = 'headrace'",
  );
  expect(databases).toEqual([{ encoding: "UTF8", locale: "C.UTF-8" }]);
});

test("what was committed survives a stop and a kill, on a port of one's choice or another", async () => {
  const folder = newFolder();
  const first = await start(folder);
  await query(first.url, "create table kept as select 1 as id");
  await first.stop();
  expect(await first.exited).toEqual({ code: 0, signal: null });

  const second = await start(folder, { port: first.port });
  expect(second.port).toBe(first.port);
  await query(second.url, "insert into kept values (2)");
  await second.kill();

  const third = await start(folder);
  expect(await query(third.url, "select id from kept order by id")).toEqual([{ id: 1 }, { id: 2 }]);
});

test("a kill takes the sessions with it, in the middle of a statement", async () => {
  const server = await start(newFolder());
  await query(server.url, "create table slow (id bigint)");
  const client = new Client({ connectionString: server.url });
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const session = rows[0]?.pid as number;
  const busy = client.query("insert into slow select generate_series(1, 1e9)");
  busy.catch(() => {});
  await expect
    .poll(() => query(server.url, "select pg_relation_size('slow') > 0 as busy"))
    .toEqual([{ busy: true }]);
  await server.kill();
  expect(commandLine(session)).toBe("");
  await expect(busy).rejects.toThrow();
});

test("a folder that a living process uses is refused, and that process goes on", async () => {
  const folder = newFolder();
  const server = await start(folder);
  await expect(startPostgres({ folder, password: PASSWORD })).rejects.toMatchObject({
    code: "folder.in_use",
    message: expect.stringContaining(`process ${process.pid}`),
  });
  await expect(removePostgres(folder)).rejects.toMatchObject({ code: "folder.in_use" });
  expect(await setting(server.url, "fsync")).toBe("off");
});

describe.skipIf(process.platform !== "linux")("when the runtime is killed with -9", () => {
  const startElsewhere = (folder: string) =>
    runElsewhere(
      "postgres.ts",
      `const server = await local.startPostgres({ folder: ${JSON.stringify(folder)}, password: ${JSON.stringify(PASSWORD)} });
      console.log(JSON.stringify({ pid: server.pid, url: server.url }));`,
    );

  test("its server ends, too", async () => {
    const runtime = await startElsewhere(newFolder());
    const { pid } = JSON.parse(runtime.line) as { pid: number };
    await runtime.kill();
    await untilGone(pid);
  });

  test("a server that was left all the same is ended by the next start, which has its data", async () => {
    const folder = newFolder();
    const runtime = await startElsewhere(folder);
    const orphan = JSON.parse(runtime.line) as { pid: number; url: string };
    await query(orphan.url, "create table kept as select 1 as id");
    killGuardOf(orphan.pid);
    await runtime.kill();
    expect(await query(orphan.url, "select id from kept")).toEqual([{ id: 1 }]);

    const next = await start(folder);
    expect(commandLine(orphan.pid)).toBe("");
    expect(await query(next.url, "select id from kept")).toEqual([{ id: 1 }]);
  });

  test("its server's pid may belong to another program by now, which is left in peace", async () => {
    const folder = newFolder();
    const server = await start(folder);
    const data = join(folder, "data");
    const pidFile = await readFile(join(data, "postmaster.pid"), "utf8");
    await server.kill();
    const { uid, gid } = await stat(data);
    const other = spawn("sleep", ["60"], { uid, gid });
    await once(other, "spawn");
    await writeFile(join(data, "postmaster.pid"), pidFile.replace(/^\d+/, String(other.pid)));
    await start(folder);
    expect(other.exitCode).toBe(null);
    other.kill();
  });
});

test("a session that outlives its killed server is waited for by the next start", async () => {
  const folder = newFolder();
  const server = await start(folder);
  const client = new Client({ connectionString: server.url });
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const session = rows[0]?.pid as number;
  process.kill(session, "SIGSTOP");
  process.kill(server.pid, "SIGKILL");
  await server.exited;
  const starting = start(folder);
  await expect
    .poll(() => readFile(join(folder, "postgres.log"), "utf8"), { timeout: 6_000 })
    .toMatch(/pre-existing shared memory block|lock file "postmaster.pid" already exists/);
  process.kill(session, "SIGKILL");
  expect(await setting((await starting).url, "fsync")).toBe("off");
});

test("a port that was asked for and is taken is told", async () => {
  const taken = createServer();
  taken.listen(0, "127.0.0.1");
  await once(taken, "listening");
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as { port: number };
  await expect(start(newFolder(), { port })).rejects.toMatchObject({
    code: "postgres.port_taken",
    message: expect.stringContaining("Address already in use"),
  });
});

test("a damaged data folder, one of another version and another password are told, with a way out", async () => {
  const folder = newFolder();
  const data = join(folder, "data");
  await (await start(folder)).stop();

  await expect(start(folder, { password: "another" })).rejects.toMatchObject({
    code: "postgres.other_password",
  });

  const control = await readFile(join(data, "global/pg_control"));
  await writeFile(join(data, "global/pg_control"), Buffer.alloc(control.length));
  await expect(start(folder)).rejects.toMatchObject({
    code: "postgres.not_started",
    message: expect.stringMatching(/damaged.*--fresh.*postgres\.log.*(FATAL|PANIC)/s),
  });

  await writeFile(join(data, "PG_VERSION"), "17\n");
  await expect(start(folder)).rejects.toMatchObject({
    code: "postgres.other_version",
    message: expect.stringContaining("PostgreSQL 17"),
  });

  await rm(join(data, "PG_VERSION"));
  await expect(start(folder)).rejects.toMatchObject({
    code: "postgres.other_version",
    message: expect.stringContaining("PG_VERSION is missing"),
  });
});

test("an answer that tells of no damage comes back as it is", async () => {
  const { url, port, explain } = await start(newFolder());
  const failureOf = (work: Promise<unknown>) => work.then(String, (error: unknown) => error);
  await query(url, "create table few (id int check (id < 2))");
  const refused = await failureOf(query(url, "insert into few values (2)"));
  expect(refused).toBeInstanceOf(DatabaseError);
  expect(refused).toMatchObject({ code: "23514" });
  expect(await explain(refused)).toBe(refused);

  const elsewhere = url.replace(`:${port}/`, ":9/");
  const unreachable = await failureOf(query(elsewhere, "select"));
  expect(unreachable).toMatchObject({ code: "ECONNREFUSED" });
  expect(await explain(unreachable)).toBe(unreachable);
  const told = await failureOf(migrate(elsewhere));
  expect(told).toMatchObject({ code: "database.unavailable" });
  expect(await explain(told)).toBe(told);

  const stranger = await failureOf(query(url.replace(/:[^:@]+@/, ":x@"), "select"));
  expect(stranger).toMatchObject({ severity: "FATAL", code: "28P01" });
  expect(await explain(stranger)).toBe(stranger);
});

describe("a data folder that the server starts from, and that is damaged all the same,", () => {
  const damaged = {
    code: "postgres.damaged",
    message: expect.stringMatching(
      /data is damaged: .*a copy of the folder.*--fresh.*(FATAL|ERROR)/s,
    ),
  };

  test("is told when it lacks files that the server itself asks for", async () => {
    const folder = newFolder();
    await (await start(folder)).stop();
    await rm(join(folder, "data/base"), { recursive: true });
    await expect(start(folder)).rejects.toMatchObject(damaged);
  });

  const hurts: [string, (base: string) => Promise<void>][] = [
    ["gone", (base) => rm(base, { recursive: true })],
    ["cut to nothing", (base) => cutAll(base)],
  ];
  test.each(hurts)("is told when our database's own files are %s", async (_, hurt) => {
    const folder = newFolder();
    const server = await start(folder);
    const [database] = await query<{ oid: number }>(
      server.url,
      "select oid::int from pg_database where datname = current_database()",
    );
    await server.stop();
    await hurt(join(folder, "data/base", String(database?.oid)));
    const next = await start(folder);
    const error = await migrate(next.url).catch((thrown: unknown) => thrown);
    expect(await next.explain(error)).toMatchObject(damaged);
  });

  async function cutAll(base: string): Promise<void> {
    for (const name of await readdir(base)) await truncate(join(base, name));
  }
});

describe.runIf(asRoot)("as root, in a folder that only root can enter", () => {
  test("the data goes where the server's account can enter, and is found again", async () => {
    const closed = newFolder();
    await mkdir(closed, { mode: 0o700 });
    const folder = join(closed, "home");
    const first = await start(folder);
    const place = first.outsidePlace as string;
    expect(place).toMatch(/headrace\/[0-9a-f]{16}$/);
    await query(first.url, "create table kept as select 1 as id");
    await first.stop();

    const second = await start(folder);
    expect(second.outsidePlace).toBe(place);
    expect(await query(second.url, "select id from kept")).toEqual([{ id: 1 }]);
    await second.stop();

    expect((await stat(closed)).mode & 0o777).toBe(0o700);
    await removePostgres(folder);
    await expect(stat(place)).rejects.toThrow("ENOENT");
  });

  test("data of a time when the folder was open comes along", async () => {
    const parent = newFolder();
    const folder = join(parent, "home");
    const open = await start(folder);
    expect(open.outsidePlace).toBe(undefined);
    await query(open.url, "create table kept as select 1 as id");
    await open.stop();

    await chmod(parent, 0o700);
    const closed = await start(folder);
    expect(closed.outsidePlace).toBeDefined();
    expect(await query(closed.url, "select id from kept")).toEqual([{ id: 1 }]);
    await closed.kill();
    await removePostgres(folder);
  });

  test("data that was kept elsewhere and is gone is told, never begun anew in silence", async () => {
    const closed = newFolder();
    await mkdir(closed, { mode: 0o700 });
    const server = await start(closed);
    await server.kill();
    await rm(server.outsidePlace as string, { recursive: true });
    await expect(start(closed)).rejects.toMatchObject({ code: "postgres.place_is_gone" });
  });
});
