import { createAdmin, createProducer, type KafkaConfig } from "@headrace/kafka";
import { expect, onTestFinished, test, vi } from "vitest";
import { WRITER } from "../support/secured-kafka.ts";
import { securedKafka } from "../support/servers.ts";
import { awsAnswers, clusterArn, refusal } from "./aws-answers.ts";

const aws = awsAnswers();
const ASK = "GET bootstrap-brokers";
const kafka = await securedKafka();
const NOWHERE = "127.0.0.1:9";

function adminOf(config: KafkaConfig, timeoutMs = 10_000) {
  const admin = createAdmin(config, { timeoutMs });
  onTestFinished(() => admin.close());
  return admin;
}

const asks = () => aws.questions.length;

test.each([
  ["iam", { kind: "iam" }, false, "kafka.unauthenticated"],
  ["scram", { kind: "scram", ...WRITER }, false, undefined],
  ["none, over TLS", undefined, { ca: kafka.ca }, undefined],
  ["none", undefined, false, undefined],
] as const)("brokers are found by the cluster's ARN for auth %s", async (_way, auth, tls, code) => {
  const arn = clusterArn();
  aws.answer(ASK, {
    body: {
      bootstrapBrokerString: `${NOWHERE},${kafka.plain}`,
      bootstrapBrokerStringTls: `${kafka.encrypted},${kafka.encrypted}`,
      bootstrapBrokerStringSaslScram: kafka.passwords,
      // No broker but Amazon's takes such tokens: that it is refused shows that it was asked.
      bootstrapBrokerStringSaslIam: kafka.tokens,
    },
  });
  const admin = adminOf({ clusterArn: arn, auth, tls });
  const made = admin.ensureTopic("found", { partitions: 1 });
  if (code === undefined) await made;
  else await expect(made).rejects.toMatchObject({ code });
  expect(asks()).toBe(1);
  expect(aws.questions[0]).toMatchObject({
    line: `GET /v1/clusters/${arn}/bootstrap-brokers`,
    authorization: expect.stringContaining("/eu-central-1/kafka/aws4_request"),
  });
});

test("clients of one process ask once, also at the same moment", async () => {
  aws.answer(ASK, { body: { bootstrapBrokerString: kafka.plain }, delayMs: 50 });
  const config = { clusterArn: clusterArn() };
  const admins = [adminOf(config), adminOf(config), adminOf(config)];
  await Promise.all(admins.map((admin, i) => admin.ensureTopic(`once-${i}`, { partitions: 1 })));
  await adminOf(config).ensureTopic("once-0", { partitions: 1 });
  expect(asks()).toBe(1);
});

test("a cluster without the way to sign in is refused by what it offers and what to do", async () => {
  aws.answer(ASK, {
    body: { bootstrapBrokerStringTls: "b-1:9094", bootstrapBrokerStringSaslScram: "b-1:9096" },
  });
  const arn = clusterArn();
  const admin = adminOf({ clusterArn: arn, auth: { kind: "iam" } });
  await expect(admin.ensureTopic("x", { partitions: 1 })).rejects.toMatchObject({
    kind: "invalid",
    code: "kafka.auth_not_offered",
    message: expect.stringMatching(
      new RegExp(`${arn}.*auth iam.*offers: scram; none, with tls.*turn on IAM`),
    ),
  });
});

test("a throttled question is repeated until it is answered", async () => {
  aws.answer(
    ASK,
    refusal("TooManyRequestsException", 429),
    refusal("InternalServerErrorException", 500),
    refusal("TooManyRequestsException", 429),
    { body: { bootstrapBrokerString: kafka.plain } },
  );
  await adminOf({ clusterArn: clusterArn() }).ensureTopic("throttled", { partitions: 1 });
  expect(asks()).toBe(4);
});

test("an endpoint that falls silent is given up and asked again within a call's time", async () => {
  const silence = { delayMs: 60_000, body: { bootstrapBrokerString: NOWHERE } };
  const found = { body: { bootstrapBrokerString: kafka.plain } };
  aws.answer(ASK, silence, silence, silence, found);
  const admin = createAdmin({ clusterArn: clusterArn() });
  onTestFinished(() => admin.close());
  const startedAt = performance.now();
  await admin.ensureTopic("silent", { partitions: 1 });
  expect(performance.now() - startedAt).toBeLessThan(20_000);
  expect(asks()).toBe(4);
}, 30_000);

test("throttled for good, it is unavailable, and AWS is not flooded", async () => {
  aws.answer(ASK, refusal("TooManyRequestsException", 429, "Too many requests"));
  const admin = adminOf({ clusterArn: clusterArn() }, 7_000);
  await expect(admin.ensureTopic("x", { partitions: 1 })).rejects.toMatchObject({
    kind: "unavailable",
    code: "kafka.brokers_unknown",
    message: expect.stringContaining("Too many requests"),
  });
  // A question a second, and the SDK repeats each twice after pauses of chance; a flood is hundreds.
  expect(asks()).toBeLessThanOrEqual(8 * 3);
});

test.each([
  ["ExpiredTokenException", 403, "unavailable", "kafka.unauthenticated", "AWS credentials"],
  ["UnrecognizedClientException", 403, "unavailable", "kafka.unauthenticated", "AWS credentials"],
  ["ForbiddenException", 403, "unavailable", "kafka.unauthorized", "kafka:GetBootstrapBrokers"],
  ["AccessDeniedException", 403, "unavailable", "kafka.unauthorized", "kafka:GetBootstrapBrokers"],
  ["NotFoundException", 404, "invalid", "kafka.cluster_unknown", "clusterArn"],
  ["BadRequestException", 400, "invalid", "kafka.request_refused", "as recorded"],
])("%s is told at once, with what to do", async (error, status, kind, code, text) => {
  aws.answer(ASK, refusal(error, status));
  const producer = createProducer({ clusterArn: clusterArn() });
  onTestFinished(() => producer.close());
  const startedAt = performance.now();
  await expect(producer.send([{ topic: "x", value: "x" }])).rejects.toMatchObject({
    kind,
    code,
    message: expect.stringContaining(text),
  });
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});

test("without AWS credentials it says what is missing", async () => {
  for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) vi.stubEnv(name, undefined);
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_CONFIG_FILE", "/nowhere");
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
  onTestFinished(() => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDTHATISNONE");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "a-secret-that-stays-one");
  });
  const admin = adminOf({ clusterArn: clusterArn() });
  await expect(admin.ensureTopic("x", { partitions: 1 })).rejects.toMatchObject({
    code: "kafka.unauthenticated",
    message: expect.stringContaining("AWS credentials"),
  });
});
