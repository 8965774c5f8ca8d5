import { createRequire } from "node:module";
import { createAdmin, createProducer, type KafkaConfig } from "@headrace/kafka";
import { expect, onTestFinished, test, vi } from "vitest";
import { clusterArn } from "./aws-answers.ts";

test.each([
  [[]],
  [["localhost"]],
  [["localhost:"]],
  [["localhost:99999"]],
  [["http://localhost:9092"]],
  [["127.0.0.1:9092", "a b:1"]],
])("brokers %j are refused by name", (brokers) => {
  expect(() => createProducer({ brokers })).toThrow(
    expect.objectContaining({ kind: "invalid", code: "kafka.brokers" }),
  );
});

test("where nobody listens, a call ends in its time and names the brokers", async () => {
  const admin = createAdmin({ brokers: ["127.0.0.1:9", "[::1]:9"] }, { timeoutMs: 300 });
  const startedAt = performance.now();
  await expect(admin.offsets(["events"])).rejects.toMatchObject({
    kind: "unavailable",
    code: "kafka.unavailable",
    message: expect.stringContaining("127.0.0.1:9, [::1]:9"),
  });
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  await admin.close();
});

const brokers = ["127.0.0.1:9"];
const secret = "a-secret-that-stays-one";
test.each<[string, KafkaConfig, string]>([
  ["neither brokers nor a cluster", {}, "kafka.brokers"],
  ["an ARN of something else", { clusterArn: "arn:aws:s3:::bucket" }, "kafka.cluster"],
  ["an ARN without its id", { clusterArn: clusterArn().slice(0, -39) }, "kafka.cluster"],
  ["a role without a region", { brokers, auth: { kind: "iam" } }, "kafka.auth"],
  ["a role with an empty region", { brokers, region: "", auth: { kind: "iam" } }, "kafka.auth"],
  [
    "a user without a name",
    { brokers, auth: { kind: "scram", username: "", password: secret } },
    "kafka.auth",
  ],
  [
    "a user without a password",
    { brokers, auth: { kind: "scram", username: "writer", password: "" } },
    "kafka.auth",
  ],
  ["an authority that is no certificate", { brokers, tls: { ca: secret } }, "kafka.ca"],
  [
    "tokens of others for an MSK cluster",
    { clusterArn: clusterArn(), auth: { kind: "token", source: () => Promise.reject() } },
    "kafka.brokers",
  ],
])("%s is refused when a client is made", (_what, config, code) => {
  expect(() => createAdmin(config)).toThrow(expect.objectContaining({ kind: "invalid", code }));
  expect(() => createAdmin(config)).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining(secret) }),
  );
});

test("Amazon's libraries are loaded by the first client that needs them, and by no other", async () => {
  const { cache } = createRequire(import.meta.url);
  const isLoaded = (part: RegExp) => Object.keys(cache).some((path) => part.test(path));
  const loaded = () => ({
    signer: isLoaded(/\/aws-msk-iam-sasl-signer-js\//),
    sdk: isLoaded(/\/@aws-sdk\/client-kafka\//),
  });
  const askWith = async (config: KafkaConfig) => {
    const admin = createAdmin(config, { timeoutMs: 100 });
    onTestFinished(() => admin.close());
    await expect(admin.offsets(["events"])).rejects.toMatchObject({ kind: "unavailable" });
  };
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDTHATISNONE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", secret);
  vi.stubEnv("AWS_ENDPOINT_URL_KAFKA", `http://${brokers[0]}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  await askWith({ brokers, auth: { kind: "scram", username: "writer", password: secret } });
  expect(loaded()).toEqual({ signer: false, sdk: false });
  await askWith({ brokers, region: "eu-central-1", auth: { kind: "iam" } });
  await expect.poll(loaded, { timeout: 10_000 }).toEqual({ signer: true, sdk: false });
  await askWith({ clusterArn: clusterArn() });
  await expect.poll(loaded, { timeout: 10_000 }).toEqual({ signer: true, sdk: true });
});
