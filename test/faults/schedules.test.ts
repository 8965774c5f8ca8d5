/**
 * Random histories with faults, from seeds: after each, stored events, windows, lateness, progress and
 * gaps are what the logs say; and at random moments in between every read is right.
 *
 * `HEADRACE_FAULT_SEEDS=FROM..TO` plays others (`npm run soak`); with `HEADRACE_FAULT_TRACE=1` a
 * history that fails tells every statement.
 */
import { expect, test, vi } from "vitest";
import { playSeed } from "../support/faults-seed.ts";
import { faultStage } from "../support/faults-stage.ts";

vi.mock("@headrace/kafka", async (original) => ({
  ...(await original<object>()),
  ...(await import("../support/model-kafka.ts")),
}));

const stage = await faultStage();

const [from = 1, to = 300] = (process.env.HEADRACE_FAULT_SEEDS ?? "")
  .split("..")
  .filter(Boolean)
  .map(Number);

test(`histories ${from} to ${to} end as their logs say`, async () => {
  const startedAt = performance.now();
  let faults = 0;
  for (let seed = from; seed <= to; seed += 1) {
    const played = await playSeed(stage, seed);
    faults += played.faults;
  }
  console.log(
    `${to - from + 1} histories, ${faults} faults, ${Math.round(performance.now() - startedAt)} ms`,
  );
  console.log(
    [...stage.gate.reached]
      .sort((a, b) => b[1] - a[1])
      .map(([k, n]) => `${n} ${k}`)
      .join("\n"),
  );
  expect(faults).toBeGreaterThan(0);
}, 3_600_000);
