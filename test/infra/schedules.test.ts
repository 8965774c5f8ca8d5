/** How often schedules come, and that none wakes a database that sleeps. */
import { describe, expect, test } from "vitest";
import type { Settings } from "../../infra/settings.ts";
import { EVALUATION_MS, evaluate } from "./evaluate.ts";
import { settingsFor } from "./settings.ts";
import type { Stage } from "./stage.ts";

const schedulesOf = (stage: Stage): Record<string, string> =>
  Object.fromEntries(
    stage
      .ofType("aws:scheduler/schedule:Schedule")
      .map(({ name, inputs }) => [name.replace(/(Schedule)+$/, ""), inputs.scheduleExpression]),
  );

/** How often a failed run is repeated, and for how many seconds it may wait. */
const retriesOf = (stage: Stage): Record<string, readonly [number, number]> =>
  Object.fromEntries(
    stage
      .ofType("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
      .map(({ name, inputs: { maximumRetryAttempts, maximumEventAgeInSeconds } }) => [
        name.replace(/Invoke$/, ""),
        [maximumRetryAttempts, maximumEventAgeInSeconds],
      ]),
  );

test(
  "where the database never sleeps, crons come at their pace",
  async () => {
    const stage = await evaluate({ settings: settingsFor("standard") });
    expect(schedulesOf(stage)).toEqual({
      CronPulse: "rate(1 minute)",
      CronMaintainPartitions: "rate(1 hour)",
      CronAudit: "rate(1 hour)",
    });
    expect(retriesOf(stage)).toMatchObject({
      CronPulse: [0, 60],
      CronMaintainPartitions: [2, 3600],
      CronAudit: [2, 3600],
    });
    expect(stage.ofType("sst:sst:LinkRef").some(({ name }) => name === "PulseLinkRef")).toBe(false);
  },
  EVALUATION_MS,
);

const sleeping: readonly (readonly [string, Settings])[] = [
  ["Neon", settingsFor("starter")],
  ["Aurora from 0", settingsFor("standard", { database: { kind: "aurora", minCapacity: 0 } })],
];

describe.each(sleeping)("where the database sleeps (%s)", (_, settings) => {
  test(
    "crons come once a day, together, and ingest starts pulse after its commits",
    async () => {
      const stage = await evaluate({ settings });
      expect(schedulesOf(stage)).toEqual({
        CronPulse: "cron(17 3 * * ? *)",
        CronMaintainPartitions: "cron(17 3 * * ? *)",
        CronAudit: "cron(17 3 * * ? *)",
      });
      // The next run may be a day away, and the first may fail while the database wakes.
      expect(retriesOf(stage)).toMatchObject({
        CronPulse: [2, 21_600],
        CronMaintainPartitions: [2, 21_600],
        CronAudit: [2, 21_600],
      });
      // A proxy holds connections open, and a database that somebody is connected to does not sleep.
      expect(stage.ofType("aws:rds/proxy:Proxy")).toEqual([]);
      const pulse = stage.the("aws:lambda/function:Function", "CronPulseFunction").inputs.name;
      expect(stage.linksOf("KafkaIngestEvents").Pulse).toMatchObject({ functionName: pulse });
      const invokes = stage
        .statementsOf("KafkaIngestEvents")
        .filter(({ actions }) => actions.includes("lambda:InvokeFunction"));
      expect(invokes).toEqual([
        expect.objectContaining({ resources: [expect.stringMatching(/:function:.*CronPulse/)] }),
      ]);
    },
    EVALUATION_MS,
  );
});

test(
  "a schedule of no whole minutes is not deployed",
  async () => {
    const edit = { path: "functions/manifest.ts", from: "every: 3600", to: "every: 90" };
    await expect(evaluate({ settings: settingsFor("standard"), edit })).rejects.toThrow(
      "a schedule's step is whole minutes, and functions/manifest.ts has 90 s",
    );
  },
  EVALUATION_MS,
);
