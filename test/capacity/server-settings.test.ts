import { localSettings, parameterGroup, serverSettings } from "@headrace/capacity";
import { createPool } from "@headrace/db";
import { afterAll, expect, test } from "vitest";
import { adminUrl } from "../support/servers.ts";

const GB = 1024 ** 3;
const standard = { size: "standard", memoryBytes: 8 * GB, cores: 2 } as const;
const server = createPool({ connectionString: await adminUrl(), max: 1 });
afterAll(() => server.end());

const parameter = (engine: "rds" | "aurora", name: string): string | undefined =>
  parameterGroup(engine, standard).find((it) => it.name === name)?.value;

test("a parameter group holds whole numbers in PostgreSQL's own units, and 1 and 0", async () => {
  const texts = Object.entries(serverSettings(standard));
  const { rows } = await server.query<{ name: string; value: string }>(
    `select
       name,
       case
         when vartype = 'bool' then case text when 'on' then '1' else '0' end
         when unit in ('kB', '8kB', 'MB') then (pg_size_bytes(text) / pg_size_bytes(case when unit ~ '^[0-9]' then unit else '1' || unit end))::text
         when unit in ('s', 'ms') and text ~ '[a-z]'
           then (extract(epoch from text::interval) * case unit when 'ms' then 1000 else 1 end)::bigint::text
         else text
       end as value
     from unnest($1::text[], $2::text[]) as given (name, text)
     join pg_settings using (name)`,
    [
      texts.map(([name]) => (name === "timezone" ? "TimeZone" : name)),
      texts.map(([, text]) => text),
    ],
  );
  const expected = Object.fromEntries(
    rows.map(({ name, value }) => [name === "TimeZone" ? "timezone" : name, value]),
  );
  const group = parameterGroup("rds", standard);
  expect(Object.fromEntries(group.map(({ name, value }) => [name, value]))).toEqual(expected);
  expect(group.length).toBe(texts.length);
});

test("what PostgreSQL reads at its start alone waits for a restart, everything else is applied at once", async () => {
  const group = parameterGroup("rds", standard);
  const { rows } = await server.query<{ name: string }>(
    "select name from pg_settings where context = 'postmaster' and name = any ($1)",
    [group.map(({ name }) => name)],
  );
  const waiting = group.filter(({ applyMethod }) => applyMethod === "pending-reboot");
  expect(waiting.map(({ name }) => name).sort()).toEqual(rows.map(({ name }) => name).sort());
});

test("a server of 8 GB in the cloud, worked out by hand", () => {
  expect(parameter("rds", "shared_buffers")).toBe(String((2 * GB) / 8192));
  expect(parameter("rds", "effective_cache_size")).toBe(String((6 * GB) / 8192));
  expect(parameter("rds", "maintenance_work_mem")).toBe(String(256 * 1024));
  expect(parameter("rds", "work_mem")).toBe("16384");
  expect(parameter("rds", "checkpoint_timeout")).toBe("900");
  expect(parameter("rds", "deadlock_timeout")).toBe("200");
  expect(parameter("rds", "jit")).toBe("0");
  expect(parameter("rds", "max_connections")).toBe("152");
});

test("Aurora is told nothing about checkpoints and caches, which are its own", () => {
  const onRds = new Set(parameterGroup("rds", standard).map(({ name }) => name));
  const onAurora = new Set(parameterGroup("aurora", standard).map(({ name }) => name));
  expect([...onRds.difference(onAurora)].sort()).toEqual([
    "checkpoint_timeout",
    "effective_cache_size",
    "max_wal_size",
    "min_wal_size",
    "shared_buffers",
  ]);
});

test("one machine keeps to an eighth of its memory, at most 1 GB, and leaves connections to spare", () => {
  const settings = localSettings({ memoryBytes: 4 * GB, cores: 2 });
  expect(settings).toMatchObject({
    shared_buffers: "512MB",
    max_connections: "200",
    max_parallel_workers: "2",
    fsync: "on",
    full_page_writes: "on",
    synchronous_commit: "on",
  });
  expect(localSettings({ memoryBytes: 64 * GB, cores: 32 }).shared_buffers).toBe("1024MB");
});
