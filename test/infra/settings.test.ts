import { describe, expect, test } from "vitest";
import type { Settings, Size } from "../../infra/settings.ts";
import { resolveStage } from "../../infra/stage.ts";
import { settingsFor } from "./settings.ts";

const resolve = (size: Size, changes: object = {}) =>
  resolveStage("test", { settings: settingsFor(size, changes as Partial<Settings>) });

/** The lines after the first, which names the stage and the file. */
function faultsOf(size: Size, changes: object): string[] {
  try {
    resolve(size, changes);
  } catch (error) {
    const [head, ...lines] = (error as Error).message.split("\n");
    expect(head).toBe('The settings of stage "test" (infra/stages.ts) cannot be used:');
    return lines.map((line) => line.trim());
  }
  return [];
}

describe("defaults", () => {
  test("starter is made of parts that cost nothing while nobody comes", () => {
    expect(resolve("starter")).toMatchObject({
      database: { kind: "neon" },
      databaseSleeps: true,
      kafka: { kind: "existing" },
      pollers: undefined,
    });
  });

  test("standard and large have servers of their own, with a proxy", () => {
    expect(resolve("standard")).toMatchObject({
      database: { kind: "rds", proxy: true, multiZone: false },
      databaseSleeps: false,
      kafka: { kind: "msk-serverless" },
      pollers: { min: 1, max: 2 },
    });
    expect(resolve("large")).toMatchObject({
      database: { kind: "rds", proxy: true, multiZone: true },
      databaseSleeps: false,
      kafka: { kind: "msk-provisioned", instance: "express.m7g.large", brokers: 3 },
      pollers: { min: 2, max: 4 },
    });
  });

  test("a part that is named keeps the size's figures for what it leaves out", () => {
    const { database, events } = resolve("large", {
      database: { kind: "rds", storageGigabytes: 2_000 },
      events: { partitions: 48 },
    });
    expect(database).toMatchObject({ storageGigabytes: 2_000, instance: "r7g.2xlarge" });
    expect(events).toEqual({
      partitions: 48,
      retentionHours: 168,
      horizonDays: 400,
      rawRetentionDays: 400,
    });
  });

  test("Aurora sleeps where its least capacity is 0, and not otherwise", () => {
    const aurora = (minCapacity: number) => ({ database: { kind: "aurora", minCapacity } });
    expect(resolve("standard", aurora(0)).databaseSleeps).toBe(true);
    expect(resolve("standard", aurora(0.5)).databaseSleeps).toBe(false);
  });

  test("what is there and undefined has the default too", () => {
    expect(resolve("standard", { events: { partitions: undefined } }).events.partitions).toBe(6);
  });

  test("only the stage named production is protected", () => {
    expect(resolveStage("production", { settings: settingsFor("standard") }).production).toBe(true);
    expect(resolve("standard").production).toBe(false);
  });
});

describe("a size resolves with another part", () => {
  test.each<[Size, object]>([
    ["starter", {}],
    ["standard", {}],
    ["standard", { database: { kind: "aurora" } }],
    ["standard", { database: { kind: "neon" } }],
    ["standard", { database: { kind: "rds", proxy: false } }],
    ["standard", { kafka: { kind: "msk-provisioned" } }],
    ["standard", { events: { partitions: 12 } }],
    ["standard", { events: { partitions: 12 }, database: { kind: "aurora" } }],
    ["standard", { events: { horizonDays: 30, rawRetentionDays: 30 } }],
    ["standard", { events: { horizonDays: 3_650, rawRetentionDays: 3_650 } }],
    ["standard", { pollers: { max: 6 } }],
    ["large", {}],
    ["large", { kafka: { kind: "msk-serverless" } }],
    ["large", { database: { kind: "aurora" } }],
    ["large", { database: { kind: "rds", proxy: false } }],
    ["large", { database: { kind: "neon" } }],
    ["large", { events: { partitions: 1_000 } }],
  ])("%s with %j", (size, changes) => {
    expect(faultsOf(size, changes)).toEqual([]);
  });
});

describe("a wrong setting is named with its remedy", () => {
  test.each<[string, Size, object, string]>([
    [
      "an unknown setting",
      "standard",
      { databse: { kind: "rds" } },
      "databse: is no setting that infra/settings.ts knows: correct its name or remove it",
    ],
    [
      "an unknown setting of a part",
      "standard",
      { database: { kind: "rds", instanceType: "t4g.large" } },
      "database.instanceType: is no setting that infra/settings.ts knows: correct its name or remove it",
    ],
    [
      "a database older than 17",
      "standard",
      { database: { kind: "rds", version: "16.4" } },
      "database.version: must be PostgreSQL 17 or 18",
    ],
    [
      "a Kafka without a topic API",
      "large",
      { kafka: { kind: "msk-provisioned", version: "2.8.1" } },
      "kafka.version: must be one of 3.6.0, 3.8.x, 3.9.x",
    ],
    [
      "a broker without a port",
      "starter",
      { kafka: { kind: "existing", brokers: ["kafka.shop.test"] } },
      "kafka.brokers.0: must be host:port",
    ],
    [
      "an issuer that is not reached by TLS",
      "standard",
      { auth: { ...settingsFor("standard").auth, issuer: "urn:headrace:development" } },
      "auth.issuer: must be the issuer's address (https://…)",
    ],
    [
      "a shared secret as signature",
      "standard",
      { auth: { ...settingsFor("standard").auth, algorithms: ["HS256"] } },
      "auth.algorithms.0: must be RS256, ES256 or EdDSA",
    ],
  ])("%s", (_, size, changes, fault) => {
    expect(faultsOf(size, changes)).toEqual([fault]);
  });

  test("an unsupported region", () => {
    expect(faultsOf("standard", { region: "mars-north-1" })).toEqual([
      expect.stringMatching(/^region: must be one of us-east-1, .*eu-central-1/),
    ]);
  });

  test("an unknown machine", () => {
    expect(faultsOf("standard", { database: { kind: "rds", instance: "z9.nano" } })).toEqual([
      expect.stringMatching(/^database\.instance: .*t4g\.micro/),
    ]);
  });

  test("several at once, each on its line", () => {
    const wrong = { region: "mars-north-1", pollers: { min: 0 }, foo: 1 };
    expect(faultsOf("standard", wrong).map((line) => line.split(":")[0])).toEqual([
      "region",
      "pollers.min",
      "foo",
    ]);
  });
});

describe("settings that contradict each other are refused", () => {
  test.each<[string, Size, object, RegExp]>([
    [
      "a server in a network that starter does not have",
      "starter",
      { database: { kind: "rds" } },
      /^database\.kind: rds needs a network, which size starter has not: choose neon, or size standard$/,
    ],
    [
      "a cluster in a network that starter does not have",
      "starter",
      { kafka: { kind: "msk-serverless" } },
      /^kafka\.kind: msk-serverless needs a network, .*name existing brokers/,
    ],
    [
      "starter without brokers",
      "starter",
      { kafka: undefined },
      /^kafka\.brokers: names no broker \(host:port\)/,
    ],
    [
      "pollers, which are paid for while idle, in starter",
      "starter",
      { pollers: { max: 2 } },
      /^pollers: size starter has none, .*remove it, or choose size standard$/,
    ],
    [
      "fewer pollers at most than at least",
      "standard",
      { pollers: { min: 2, max: 1 } },
      /^pollers\.min: is above pollers\.max \(1\): lower it$/,
    ],
    [
      "more pollers than partitions",
      "large",
      { events: { partitions: 3 } },
      /^pollers\.max: is above events\.partitions \(3\), .*lower it, or make more partitions$/,
    ],
    [
      "brokers that cannot be spread over the zones",
      "large",
      { kafka: { kind: "msk-provisioned", brokers: 4 } },
      /^kafka\.brokers: 4 cannot be spread evenly over the 3 zones .*multiple of 3$/,
    ],
    [
      "Express brokers in two zones",
      "standard",
      { kafka: { kind: "msk-provisioned", instance: "express.m7g.large" } },
      /^kafka\.instance: Express brokers need three zones, and size standard has 2/,
    ],
    [
      "a disk for brokers that have none",
      "large",
      { kafka: { kind: "msk-provisioned", storageGigabytes: 100 } },
      /^kafka\.storageGigabytes: Express brokers have no storage to size: remove it$/,
    ],
    [
      "a least capacity above the largest",
      "standard",
      { database: { kind: "aurora", minCapacity: 20 } },
      /^database\.minCapacity: is above database\.maxCapacity \(14\): lower it$/,
    ],
    [
      "a horizon beyond what is kept",
      "standard",
      { events: { horizonDays: 1_000 } },
      /^events\.rawRetentionDays: is 400, and an event may be 1000 days old \(events\.horizonDays\).*raise it, or lower the horizon$/,
    ],
    [
      "more connections than the writers may have",
      "standard",
      { events: { partitions: 24 }, pollers: { max: 3 } },
      /^pollers\.max: role worker may hold 50 connections in size standard, and functions may open \d+ \(.*kafka\/ingest-events 15 × 2.*the pooler 16\).*lower/,
    ],
    [
      "more partitions than starter has connections for",
      "starter",
      { events: { partitions: 12 } },
      /^events\.partitions: role worker may hold 24 connections/,
    ],
    [
      "more memory than the server has",
      "large",
      { database: { kind: "rds", instance: "m7g.large" } },
      /^database\.instance: size large may use .* GB of memory .*more than 75 %/,
    ],
    [
      "a server that allows fewer connections than the roles",
      "standard",
      { database: { kind: "neon", maxConnections: 112 } },
      /^database\.maxConnections: size standard needs \d+ connections/,
    ],
  ])("%s", (_, size, changes, fault) => {
    expect(faultsOf(size, changes)).toEqual([expect.stringMatching(fault)]);
  });

  test("the file's examples are not deployed", () => {
    const { auth, alarms } = settingsFor("starter");
    const examples = {
      auth: { ...auth, issuer: "https://login.example.com/" },
      alarms: { ...alarms, email: "operations@example.com" },
      kafka: { kind: "existing", brokers: ["broker-1.example.com:9096"] },
    };
    expect(faultsOf("starter", examples)).toEqual([
      "auth.issuer: is the example's: name your tokens' issuer",
      "alarms.email: is the example's: name who is to be told",
      "kafka.brokers: is the example's: name your own brokers",
    ]);
    // `sst dev` has its own Kafka and sends no alarms; whoever calls it has to be believed all the same.
    const settings = settingsFor("starter", examples as Partial<Settings>);
    expect(() => resolveStage("test", { settings, dev: true })).toThrow(
      /^[^:]*:\n {2}auth\.issuer: .*$/,
    );
  });
});
