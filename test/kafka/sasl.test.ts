import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { createAdmin, createFetcher, createProducer, type KafkaConfig } from "@headrace/kafka";
import { expect, onTestFinished, test, vi } from "vitest";
import { READER, SESSION_MS, unsignedToken, WRITER } from "../support/secured-kafka.ts";
import { securedKafka } from "../support/servers.ts";

const kafka = await securedKafka();
const MINUTE_MS = 60_000;
/** Told to nobody but the broker. */
const SECRET = "a-secret-that-stays-one";

const writerToken = {
  kind: "token",
  source: async () => unsignedToken("writer", MINUTE_MS),
} as const;
const ways: readonly [string, KafkaConfig][] = [
  ["a token", { brokers: [kafka.tokens], auth: writerToken }],
  ["a password", { brokers: [kafka.passwords], auth: { kind: "scram", ...WRITER }, tls: false }],
  [
    "a password over TLS",
    {
      brokers: [kafka.encryptedPasswords],
      auth: { kind: "scram", ...WRITER },
      tls: { ca: kafka.ca },
    },
  ],
  ["TLS alone", { brokers: [kafka.encrypted], tls: { ca: kafka.ca } }],
  [
    "TLS to an address without a name",
    { brokers: [kafka.encrypted.replace("localhost", "127.0.0.1")], tls: { ca: kafka.ca } },
  ],
];

test.each(ways)("by %s a topic is made, written and read", async (_way, config) => {
  const admin = createAdmin(config);
  const producer = createProducer(config);
  const fetcher = createFetcher(config);
  onTestFinished(async () => {
    await Promise.all([admin, producer, fetcher].map((client) => client.close()));
  });
  const topic = `topic-${ways.findIndex(([, one]) => one === config)}`;
  await admin.ensureTopic(topic, { partitions: 2 });
  const [position] = await producer.send([{ topic, partition: 1, value: "x" }]);
  expect(position).toEqual({ topic, partition: 1, offset: 0 });
  const [found] = await fetcher.fetch([{ topic, partition: 1, offset: 0 }], {
    maxWaitMillis: 1_000,
    maxBytes: 1_000,
  });
  expect(`${found?.records[0]?.value}`).toBe("x");
  await fetcher.commit("group", [{ topic, partition: 1, offset: 1 }]);
});

const refused: readonly [string, KafkaConfig, RegExp][] = [
  [
    "a wrong password",
    {
      brokers: [kafka.passwords],
      auth: { kind: "scram", username: "writer", password: SECRET },
      tls: false,
    },
    /invalid credentials.*user "writer"/,
  ],
  [
    "an unknown user",
    {
      brokers: [kafka.encryptedPasswords],
      auth: { kind: "scram", username: "nobody", password: SECRET },
      tls: { ca: kafka.ca },
    },
    /user "nobody"/,
  ],
  [
    "what is no token",
    {
      brokers: [kafka.tokens],
      auth: { kind: "token", source: async () => ({ value: SECRET, expiresAt: Date.now() + 9e5 }) },
    },
    /invalid_token/,
  ],
  [
    "a token that the broker thinks has ended",
    {
      brokers: [kafka.tokens],
      auth: {
        kind: "token",
        source: async () => ({
          value: unsignedToken(SECRET, -MINUTE_MS).value,
          expiresAt: Date.now() + MINUTE_MS,
        }),
      },
    },
    /invalid_token.*clock/,
  ],
  [
    "an IAM role's token, which this broker cannot know",
    { brokers: [kafka.tokens], region: "eu-central-1", auth: { kind: "iam" }, tls: false },
    /invalid_token.*kafka-cluster:Connect/,
  ],
  [
    "a way of signing in that the broker does not offer",
    { brokers: [kafka.tokens], auth: { kind: "scram", ...WRITER }, tls: false },
    /mechanism/i,
  ],
];

test.each(refused)(
  "%s is refused at once, and no message tells the secret",
  async (_what, config, text) => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDTHATISNONE");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", SECRET);
    onTestFinished(() => void vi.unstubAllEnvs());
    const producer = createProducer(config);
    const admin = createAdmin(config);
    onTestFinished(async () => {
      await Promise.all([producer.close(), admin.close()]);
    });
    const startedAt = performance.now();
    const attempts = await Promise.allSettled([
      producer.send([{ topic: "refused", value: "x" }]),
      admin.offsets(["refused"]),
    ]);
    for (const attempt of attempts) {
      expect(attempt).toMatchObject({
        reason: {
          kind: "unavailable",
          code: "kafka.unauthenticated",
          message: expect.stringMatching(text),
        },
      });
      const everything = inspect(attempt, { depth: 20, showHidden: true });
      for (const secret of [SECRET, WRITER.password, btoa(SECRET).slice(0, 12), "QWN0aW9u"])
        expect(everything).not.toContain(secret);
    }
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  },
);

test("what a user may not do is refused by what it lacks", async () => {
  const admin = createAdmin({ brokers: [kafka.plain] });
  const reader: KafkaConfig = {
    brokers: [kafka.passwords],
    auth: { kind: "scram", ...READER },
    tls: false,
  };
  const producer = createProducer(reader);
  const fetcher = createFetcher(reader);
  const readersAdmin = createAdmin(reader);
  onTestFinished(async () => {
    await Promise.all([admin, producer, fetcher, readersAdmin].map((client) => client.close()));
  });
  const topic = "readable-by-reader";
  await admin.ensureTopic(topic, { partitions: 1 });
  await admin.ensureTopic("hidden", { partitions: 1 });
  expect(await fetcher.offsets([topic])).toEqual([{ topic, partition: 0, begin: 0, end: 0 }]);
  const lacking = (grant: string) => ({
    kind: "unavailable",
    code: "kafka.unauthorized",
    message: expect.stringContaining(grant),
  });
  await expect(producer.send([{ topic, value: "x" }])).rejects.toMatchObject(lacking("WriteData"));
  await expect(fetcher.offsets(["hidden"])).rejects.toMatchObject(lacking("DescribeTopic"));
  await expect(fetcher.commit("group", [{ topic, partition: 0, offset: 0 }])).rejects.toMatchObject(
    lacking("AlterGroup"),
  );
  await expect(readersAdmin.ensureTopic("mine", { partitions: 1 })).rejects.toMatchObject(
    lacking("CreateTopic"),
  );
});

test("a certificate of an authority that we do not know is not trusted", async () => {
  const admin = createAdmin({
    brokers: [kafka.encryptedPasswords],
    auth: { kind: "scram", ...WRITER },
  });
  onTestFinished(() => admin.close());
  await expect(admin.offsets(["events"])).rejects.toMatchObject({
    kind: "unavailable",
    code: "kafka.untrusted",
    message: expect.stringContaining("tls.ca"),
  });
});

test("a broker that wants TLS says so to a client without", async () => {
  const admin = createAdmin({ brokers: [kafka.encrypted] });
  onTestFinished(() => admin.close());
  await expect(admin.offsets(["events"])).rejects.toMatchObject({
    kind: "invalid",
    code: "kafka.tls",
    message: expect.stringContaining("set tls"),
  });
});

test.each([
  ["silent for longer than a load balancer waits", { brokers: [kafka.plain] }, 5 * MINUTE_MS],
  [
    "signed in for a session that ended while the process was frozen",
    { brokers: [kafka.tokens], auth: writerToken },
    SESSION_MS + 1,
  ],
])("a connection that was %s is opened anew before it is used", async (_what, config, pauseMs) => {
  let connects = 0;
  const count = () => {
    connects++;
  };
  subscribe("net.client.socket", count);
  onTestFinished(() => void unsubscribe("net.client.socket", count));
  const admin = createAdmin(config);
  onTestFinished(() => admin.close());
  await admin.ensureTopic("paused", { partitions: 1 });
  await admin.offsets(["paused"]);
  const before = connects;
  await admin.offsets(["paused"]);
  expect(connects).toBe(before);
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + pauseMs });
  onTestFinished(() => void vi.useRealTimers());
  await admin.offsets(["paused"]);
  expect(connects).toBeGreaterThan(before);
});

test("clients that sign in at the same moment share one token", async () => {
  let asked = 0;
  const source = async () => {
    asked++;
    await sleep(50);
    return unsignedToken("writer", MINUTE_MS);
  };
  const config: KafkaConfig = { brokers: [kafka.tokens], auth: { kind: "token", source } };
  const admins = [1, 2, 3].map(() => createAdmin(config));
  onTestFinished(async () => {
    await Promise.all(admins.map((admin) => admin.close()));
  });
  await Promise.all(admins.map((admin, i) => admin.ensureTopic(`shared-${i}`, { partitions: 1 })));
  expect(asked).toBe(1);
});
