/** The command that `sst dev` runs beside the functions, as SST starts it: with links and nothing else. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Pool, ROLES } from "@headrace/db";
import { createProducer } from "@headrace/kafka";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../packages/local/src/ports.ts";
import { event, rowsOf, testPool } from "../db/take-in.ts";
import { eventually, killAll, makeHome, removeHome, startProcess } from "./runtime-process.ts";

const PROGRAM = join(import.meta.dirname, "../../packages/local/src/main-dev.ts");

/** Two starts of both servers. */
const SLOW_MILLIS = 90_000;

let home: string;
beforeAll(async () => {
  home = await makeHome();
});
afterAll(async () => {
  await killAll();
  await removeHome(join(home, "dev/ada"));
  await removeHome(join(home, "dev/grace"));
  await removeHome(home);
});

const { postgres, kafka } = { postgres: await freePort(), kafka: await freePort() };
const urlOf = (user: string, password: string): string =>
  `postgresql://${user}:${password}@127.0.0.1:${postgres}/headrace`;

/** What SST puts into the environment of a command with these links, and infra/dev-command.ts. */
function linked(stage: string, password = "owner"): NodeJS.ProcessEnv {
  const link = (user: string, secret: string) => ({ url: urlOf(user, secret), through: "server" });
  const links = {
    App: { name: "headrace", stage },
    DatabaseOwner: link("headrace", password),
    DatabaseWorker: link("headrace_worker", "worker"),
    DatabaseOrders: link("headrace_orders", "orders"),
    DatabaseReports: link("headrace_reports", "reports"),
    Kafka: { kind: "plain", brokers: `127.0.0.1:${kafka}` },
  };
  return {
    HEADRACE_HOME: home,
    HEADRACE_STAGE: stage,
    EVENT_HORIZON_DAYS: "3650",
    ...Object.fromEntries(
      Object.entries(links).map(([name, value]) => [`SST_RESOURCE_${name}`, JSON.stringify(value)]),
    ),
  };
}

const start = (stage: string, env: NodeJS.ProcessEnv = {}) =>
  startProcess({ args: [], program: PROGRAM, env: { ...linked(stage), ...env } });

const stored = async (pool: Pool): Promise<number> =>
  Number((await rowsOf(pool, "select sum(events) as events from stream_progress"))[0]?.events);

test(
  "servers come up where the links say, and what is produced is taken in and finished",
  async () => {
    const first = start("ada");
    expect(await first.ready()).toBe(`127.0.0.1:${kafka}`);
    const [worker] = ROLES.map((role) => testPool(urlOf(role, role.slice("headrace_".length)), 1));
    const owner = testPool(urlOf("headrace", "owner"), 1);
    const producer = createProducer({ brokers: [`127.0.0.1:${kafka}`] });
    try {
      const events = Array.from({ length: 20 }, () => JSON.stringify(event()));
      await producer.send(events.map((value) => ({ topic: "events", key: "u1", value })));
      await eventually("20 events are stored", async () =>
        (await stored(worker as Pool)) === 20 ? true : undefined,
      );
      await eventually("the crons finish them", async () => {
        const [row] = await rowsOf(
          owner,
          "select sum(event_count) as events from realtime_aggregates where size = '1d'",
        );
        return Number(row?.events) === 20 ? true : undefined;
      });
    } finally {
      await producer.close();
    }

    const second = start("grace");
    expect(await second.exit).toBe(1);
    expect(second.output()).toMatch(
      new RegExp(
        `Port (${postgres}|${kafka}), .* is in use, perhaps by the sst dev of another stage`,
      ),
    );
    expect(second.output()).toContain(`HEADRACE_DEV_PORT=${postgres + 10} npm run dev`);

    const twin = start("ada");
    expect(await twin.exit).toBe(1);
    expect(twin.output()).toContain(
      `sst dev runs already for this stage (${join(home, "dev/ada")}): stop that one first`,
    );

    first.signal("SIGTERM");
    expect(await first.exit).toBe(0);
  },
  SLOW_MILLIS,
);

test(
  "data survives for the stage, and that of an earlier stage of its name is told apart",
  async () => {
    const again = start("ada");
    await again.ready();
    expect(await stored(testPool(urlOf("headrace", "owner"), 1))).toBe(20);
    again.signal("SIGINT");
    expect(await again.exit).toBe(0);

    const other = start("ada", linked("ada", "another"));
    expect(await other.exit).toBe(1);
    expect(other.output()).toContain("made for an earlier stage of this name");
    expect(other.output()).toContain(join(home, "dev/ada"));

    await rm(join(home, "dev/ada/data/kafka/data/meta.properties"));
    const damaged = start("ada");
    expect(await damaged.exit).toBe(1);
    expect(damaged.output()).toContain(`begin with empty data: delete ${join(home, "dev/ada")}.`);
    expect(damaged.output()).not.toContain("--fresh");
  },
  SLOW_MILLIS,
);

test("without links it says who starts it", async () => {
  const alone = startProcess({ args: [], program: PROGRAM, env: { HEADRACE_HOME: home } });
  expect(await alone.exit).toBe(1);
  expect(alone.output()).toContain("DatabaseOwner is not linked");
  const elsewhere = start("ada", {
    SST_RESOURCE_Kafka: JSON.stringify({ kind: "plain", brokers: "b-1.example.com:9092" }),
  });
  expect(await elsewhere.exit).toBe(1);
  expect(elsewhere.output()).toContain("started by `sst dev` (npm run dev)");
});
