import { execFile } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { databaseAddress, forgetConfig, kafkaConfig, readConfig } from "@headrace/handler";
import { afterEach, describe, expect, test, vi } from "vitest";
import { refusal } from "./refusal.ts";

type Links = Readonly<Record<string, unknown>>;

/** The environment of a function with these links, as SST states them outside of its encrypted file. */
const linked = (links: Links): Record<string, string> => ({
  SST_RESOURCE_App: '{"name":"headrace","stage":"blue"}',
  ...Object.fromEntries(
    Object.entries(links).map(([name, value]) => [`SST_RESOURCE_${name}`, JSON.stringify(value)]),
  ),
});

const direct = { url: "postgresql://worker:pw@db.internal:5432/headrace", through: "server" };
const proxied = { url: "postgresql://worker:pw@proxy.internal:5432/headrace", through: "proxy" };
const ARN =
  "arn:aws:kafka:eu-central-1:123456789012:cluster/blue/11111111-2222-3333-4444-555555555555-s1";

afterEach(() => {
  vi.unstubAllEnvs();
  forgetConfig();
});

describe("a database", () => {
  test("is taken from its link, the pooled one before the direct one", () => {
    const both = { DatabaseWorker: direct, DatabaseWorkerPooled: proxied };
    expect(readConfig(linked(both)).databases.worker).toEqual(proxied);
    expect(readConfig(linked({ DatabaseWorker: direct })).databases).toEqual({ worker: direct });
    const owner = { ...direct, url: "postgresql://owner:pw@db.internal:5432/headrace" };
    expect(readConfig(linked({ DatabaseOwner: owner })).databases).toEqual({ owner });
  });

  test("is taken from its variable first, and its link is then not looked at", () => {
    const env = {
      ...linked({ DatabaseWorker: { url: "s3cret" } }),
      DATABASE_WORKER_URL: "postgresql://here/db",
    };
    expect(databaseAddress("worker", readConfig(env))).toEqual({
      url: "postgresql://here/db",
      through: "server",
    });
  });

  test("whose address asks for encryption has its certificate verified", () => {
    const link = { ...direct, url: `${direct.url}?sslmode=require` };
    const { url } = databaseAddress("worker", readConfig(linked({ DatabaseWorker: link })));
    expect(url).toBe(`${direct.url}?sslmode=verify-full`);
  });

  test("that is neither set nor linked names the variable, the links and the remedy", () => {
    expect(() => databaseAddress("owner", readConfig(linked({})))).toThrow(
      "DATABASE_OWNER_URL is not set and DatabaseOwner is not linked: set it to a postgresql:// " +
        "address, or link DatabaseOwner to this function",
    );
  });
});

describe("Kafka", () => {
  test.each([
    ["plain", { kind: "plain", brokers: "a:9092,b:9092" }, { brokers: ["a:9092", "b:9092"] }],
    [
      "a password",
      { kind: "scram", brokers: "a:9096", username: "u", password: "p" },
      { brokers: ["a:9096"], auth: { kind: "scram", username: "u", password: "p" } },
    ],
    [
      "a role, with brokers",
      { kind: "iam", brokers: "a:9098", region: "eu-west-1" },
      { brokers: ["a:9098"], region: "eu-west-1", auth: { kind: "iam" } },
    ],
    [
      "a role, with the cluster's name alone",
      { kind: "iam", clusterArn: ARN },
      { clusterArn: ARN, auth: { kind: "iam" } },
    ],
  ])("is found and signed in to by its link: %s", (_what, link, expected) => {
    for (const [name, value] of Object.entries(linked({ Kafka: link }))) vi.stubEnv(name, value);
    vi.stubEnv("KAFKA_BROKERS", "");
    forgetConfig();
    expect(JSON.parse(JSON.stringify(kafkaConfig("collect")))).toEqual({
      ...expected,
      clientId: "headrace-collect",
    });
  });

  test("is taken from its variable first", () => {
    const env = { ...linked({ Kafka: "s3cret" }), KAFKA_BROKERS: "here:9092" };
    expect(readConfig(env).kafka).toEqual({ kind: "plain", brokers: ["here:9092"] });
  });
});

test("the function that commits have to start is read from its link", () => {
  const read = readConfig(linked({ Pulse: { functionName: "headrace-blue-Pulse" } }));
  expect(read.pulseFunction).toBe("headrace-blue-Pulse");
});

test.each([
  ["DatabaseWorker", { url: "s3cret", through: "server" }, "url must be postgresql://"],
  ["DatabaseWorker", { ...direct, through: "s3cret" }, "through must be server, proxy or pooler"],
  ["DatabaseReportsPooled", { url: direct.url }, "through must be server, proxy or pooler"],
  ["DatabaseOrders", { through: "server" }, "url is missing"],
  ["DatabaseOwner", "s3cret", "it "],
  ["Kafka", { kind: "s3cret" }, "kind must be iam, scram or plain"],
  ["Kafka", { kind: "plain", brokers: "s3cret" }, "brokers must be host:port"],
  ["Kafka", { kind: "scram", brokers: "a:1", username: "s3cret" }, "password is missing"],
  ["Kafka", { kind: "iam", brokers: "a:1" }, "must hold clusterArn, or brokers and region"],
  ["Kafka", { kind: "iam", clusterArn: "s3cret" }, "clusterArn must be an MSK cluster's ARN"],
  ["Pulse", { functionName: "" }, "functionName must not be empty"],
])("a link that is not as it must be is refused by its name: %s %j", (name, value, fault) => {
  const { code, message } = refusal(linked({ [name]: value }));
  expect(code).toBe("config.invalid");
  expect(message).toContain(`the link ${name} is not as it must be: `);
  expect(message).toContain(fault);
  expect(message).not.toContain("s3cret");
});

test("a link that is no JSON is refused by its name, without its text", () => {
  const { message } = refusal({ ...linked({}), SST_RESOURCE_Kafka: "s3cret" });
  expect(message).toBe("the link Kafka (SST_RESOURCE_Kafka) is not JSON");
});

describe("a deployed function's encrypted file", () => {
  const KEY = randomBytes(32);

  /** What a process of its own says its databases are. */
  async function readIn(contents: Buffer): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "headrace-links-"));
    try {
      const file = join(folder, "resource.enc");
      await writeFile(file, contents);
      const script = `import { config } from "@headrace/handler";
        try { console.log(JSON.stringify(config().databases)); }
        catch (error) { console.log(error.code + ": " + error.message); }`;
      const { stdout, stderr } = await promisify(execFile)(
        process.execPath,
        ["--input-type=module", "--eval", script],
        {
          cwd: join(import.meta.dirname, "../.."),
          env: {
            SST_KEY: KEY.toString("base64"),
            SST_KEY_FILE: file,
            SST_RESOURCE_App: '{"name":"headrace","stage":"blue"}',
            AWS_LAMBDA_FUNCTION_NAME: "headrace-blue-Reports",
          },
        },
      );
      return (stdout + stderr).trim();
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  function sealed(links: Links): Buffer {
    const cipher = createCipheriv("aes-256-gcm", KEY, Buffer.alloc(12));
    const text = Buffer.concat([cipher.update(JSON.stringify(links)), cipher.final()]);
    return Buffer.concat([text, cipher.getAuthTag()]);
  }

  test("is opened and its links are read", async () => {
    expect(JSON.parse(await readIn(sealed({ DatabaseReportsPooled: proxied })))).toEqual({
      reports: proxied,
    });
  });

  test("that cannot be opened is refused with the remedy", async () => {
    expect(await readIn(randomBytes(64))).toBe(
      "config.invalid: the links of this function cannot be read (SST_KEY_FILE, SST_KEY): deploy the stage again",
    );
  });
});
