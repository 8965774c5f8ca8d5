/** What `sst dev` makes: HTTP functions that run on this machine, and nothing that is paid for while idle. */
import { devAddresses } from "@headrace/capacity";
import { beforeAll, describe, expect, test } from "vitest";
import { functionsOf } from "../../functions/manifest.ts";
import { componentName } from "../../infra/component-name.ts";
import { EVALUATION_MS, evaluate } from "./evaluate.ts";
import { settingsFor } from "./settings.ts";
import type { Stage } from "./stage.ts";

const { postgres, kafka } = devAddresses();

describe.each(["starter", "standard", "large"] as const)("sst dev, size %s", (size) => {
  let stage: Stage;
  beforeAll(async () => {
    // Whoever only tries it out has set no secrets.
    stage = await evaluate({ settings: settingsFor(size), dev: true, secrets: {} });
  }, EVALUATION_MS);

  const linkOf = (name: string) => stage.the("sst:sst:LinkRef", `${name}LinkRef`).inputs.properties;

  test("no server, network, mapping, schedule or invocation is made", () => {
    const types = new Set(stage.resources.map(({ type }) => type.split(":")[1]?.split("/")[0]));
    for (const service of ["rds", "msk", "ec2", "scheduler", "sqs", "secretsmanager"])
      expect([service, types.has(service)]).toEqual([service, false]);
    expect(stage.ofType("aws:lambda/eventSourceMapping:EventSourceMapping")).toEqual([]);
    expect(stage.ofType("aws:lambda/invocation:Invocation")).toEqual([]);
  });

  test("only HTTP functions are made, and they run on this machine", () => {
    expect([...stage.functions.keys()].toSorted()).toEqual(
      functionsOf("http").map(componentName).toSorted(),
    );
    for (const { inputs } of stage.functions.values())
      expect(inputs.description).toMatch(/live\)?$/);
  });

  test("links lead to this machine's PostgreSQL and Kafka", () => {
    for (const role of ["worker", "orders", "reports"]) {
      const name = `Database${role[0]?.toUpperCase()}${role.slice(1)}`;
      for (const link of [name, `${name}Pooled`]) {
        const { url, through } = linkOf(link);
        expect(new URL(url)).toMatchObject({
          username: `headrace_${role}`,
          host: `${postgres.host}:${postgres.port}`,
          pathname: "/headrace",
          search: "",
        });
        expect(through).toBe("server");
      }
    }
    expect(new URL(linkOf("DatabaseOwner").url).username).toBe("headrace");
    expect(linkOf("Kafka")).toMatchObject({
      kind: "plain",
      brokers: `${kafka.host}:${kafka.port}`,
    });
  });

  test("a command polls Kafka in the mappings' place", () => {
    const command = stage.the("sst:sst:DevCommand", "Local");
    expect(command.outputs?._dev).toMatchObject({
      command: "node packages/local/src/main-dev.ts",
      autostart: true,
      links: ["DatabaseOwner", "DatabaseWorker", "DatabaseOrders", "DatabaseReports", "Kafka"],
      // Stages of one machine keep their data apart by it.
      environment: { HEADRACE_STAGE: "test" },
    });
  });
});
