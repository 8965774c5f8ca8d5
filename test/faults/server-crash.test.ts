/**
 * PostgreSQL killed with all its sessions (kill -9) at random moments while functions run, and
 * started again: what was said to be stored is stored, everything counts once.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createPool, migrate, roleUrl } from "@headrace/db";
import { removePostgres, startPostgres } from "@headrace/local";
import { afterAll, expect, test, vi } from "vitest";
import { type Cast, look } from "../support/faults-history.ts";
import { playWorld } from "../support/faults-seed.ts";
import { faultStage } from "../support/faults-stage.ts";
import { World } from "../support/faults-world.ts";

vi.mock("@headrace/kafka", async (original) => ({
  ...(await original<object>()),
  ...(await import("../support/model-kafka.ts")),
}));

const base = await mkdtemp(join(tmpdir(), "headrace-crash-"));
const folder = join(base, "server");
// What is on disk survives, as `npm start` has it: fsync is on.
const options = { folder, password: "test", settings: { shared_buffers: "64MB" } };
let server = await startPostgres(options);
const forEver = { state_retention: null, window_10s_retention: null, window_1m_retention: null };
await migrate(server.url, forEver);
afterAll(async () => {
  await server.kill();
  await removePostgres(folder);
  await rm(base, { recursive: true, force: true });
});
const pool = createPool({ connectionString: server.url, max: 1 });
pool.on("error", () => {});
const stage = await faultStage({
  name: "headrace",
  ownerUrl: server.url,
  workerUrl: roleUrl(server.url, "headrace_worker"),
  reportsUrl: roleUrl(server.url, "headrace_reports"),
  pool,
  drop: () => pool.end(),
});

const PATIENT = { timeout: 60_000 };
/** Long enough for some actors to have ended and for others not. */
const MOST_MILLIS = 120;

test.for([3, 11, 12, 13, 14, 15])(
  "functions of history %i go on where a killed server left off",
  PATIENT,
  async (seed) => {
    const world = new World(seed, stage);
    world.serverCrashes = true;
    let kills = 0;
    const crash = async (_world: World, cast: Cast): Promise<void> => {
      const running = Promise.all([...cast.values()].map((work) => work()));
      if (world.random.chance(0.7)) {
        await sleep(world.random.whole(0, MOST_MILLIS));
        await server.kill();
        world.note("  the server was killed");
        kills += 1;
        await running;
        server = await startPostgres({ ...options, port: server.port });
      }
      await running;
      await look(world);
    };
    await playWorld(world, crash);
    expect(kills).toBeGreaterThan(0);
  },
);
