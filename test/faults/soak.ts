/**
 * `npm run soak -- [--seeds N] [--from S]`: plays N random histories with faults, beginning with seed
 * S (default: 1,000 from one that differs at every call). A failing seed is named and can be played
 * alone with `--seeds 1 --from SEED`.
 */
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: String(1_000_000 + (Date.now() % 1_000_000_000)) },
  },
});
const [seeds, from] = [Number(values.seeds), Number(values.from)];
if (!Number.isSafeInteger(seeds) || !Number.isSafeInteger(from) || seeds < 1 || from < 1) {
  console.error("npm run soak -- [--seeds N] [--from S], both whole numbers from 1");
  process.exit(2);
}
const to = from + seeds - 1;
console.log(`seeds ${from} to ${to}`);
const { status } = spawnSync(
  "vitest",
  ["run", "test/faults/schedules.test.ts", "--silent=false", "--disable-console-intercept"],
  { stdio: "inherit", env: { ...process.env, HEADRACE_FAULT_SEEDS: `${from}..${to}` } },
);
process.exit(status ?? 1);
