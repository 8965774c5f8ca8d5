import { createMskTopics } from "@headrace/kafka";
import { describe, expect, test } from "vitest";
import { type AwsAnswer, awsAnswers, clusterArn, refusal } from "./aws-answers.ts";

const aws = awsAnswers();
const DESCRIBE = "GET events";
const CREATE = "POST topics";
const UPDATE = "PUT events";
const MISSING = refusal("NotFoundException", 404);

const topics = (arn = clusterArn()) => createMskTopics(arn, { timeoutMs: 3_000, pauseMs: 5 });

function described(status: string, partitionCount: number, configs = ""): AwsAnswer {
  const encoded = Buffer.from(configs).toString("base64");
  return { body: { topicName: "events", status, partitionCount, configs: encoded } };
}

const lines = () => aws.questions.map(({ line }) => line.split(" ")[0]);
const bodyOf = (method: string) =>
  aws.questions.filter(({ line }) => line.startsWith(method)).map(({ body }) => body);
const base64 = (text: string) => Buffer.from(text).toString("base64");

test("a topic is made as asked, and waited for until it is active and told of", async () => {
  const arn = clusterArn();
  aws.answer(DESCRIBE, MISSING, MISSING, described("CREATING", 0), described("ACTIVE", 12));
  aws.answer(CREATE, { body: { topicName: "events", status: "CREATING" } });
  const configs = { "retention.ms": "604800000", "message.timestamp.type": "LogAppendTime" };
  await topics(arn).ensureTopic("events", { partitions: 12, configs });
  expect(aws.questions.map(({ line }) => line)).toEqual([
    `GET /v1/clusters/${arn}/topics/events`,
    `POST /v1/clusters/${arn}/topics`,
    `GET /v1/clusters/${arn}/topics/events`,
    `GET /v1/clusters/${arn}/topics/events`,
    `GET /v1/clusters/${arn}/topics/events`,
  ]);
  expect(bodyOf("POST")).toEqual([
    {
      topicName: "events",
      partitionCount: 12,
      replicationFactor: 3,
      configs: base64('{"retention.ms":"604800000","message.timestamp.type":"LogAppendTime"}'),
    },
  ]);
});

describe.each([
  ["a JSON object", JSON.stringify],
  [
    "a JSON object of numbers",
    (configs: object) => JSON.stringify(configs).replace(/"(\d+)"/g, "$1"),
  ],
  [
    "lines",
    (configs: object) =>
      Object.entries(configs)
        .map((each) => `${each.join("=")}\n`)
        .join(""),
  ],
])("where the API tells settings as %s", (_, write) => {
  test("a topic that is there as asked is left alone", async () => {
    const told = write({ "compression.type": "producer", "retention.ms": "604800000" });
    aws.answer(DESCRIBE, described("ACTIVE", 24, told));
    const shape = { partitions: 12, configs: { "retention.ms": "604800000" } };
    await topics().ensureTopic("events", shape);
    expect(new Set(lines())).toEqual(new Set(["GET"]));
  });

  test("a setting that differs is set, with the others that were asked for", async () => {
    const told = write({ "retention.ms": "1", "max.message.bytes": "9" });
    aws.answer(DESCRIBE, described("ACTIVE", 1, told));
    aws.answer(UPDATE, { body: { status: "UPDATING" } });
    const configs = { "retention.ms": "2", "max.message.bytes": "9" };
    await topics().ensureTopic("events", { partitions: 1, configs });
    expect(bodyOf("PUT")).toEqual([
      { configs: base64('{"retention.ms":"2","max.message.bytes":"9"}') },
    ]);
  });
});

test("settings that cannot be read are set as asked", async () => {
  aws.answer(DESCRIBE, described("ACTIVE", 1, '{"retention.ms'));
  aws.answer(UPDATE, { body: { status: "UPDATING" } });
  await topics().ensureTopic("events", { partitions: 1, configs: { "retention.ms": "2" } });
  expect(bodyOf("PUT")).toEqual([{ configs: base64('{"retention.ms":"2"}') }]);
});

test("a topic with fewer partitions is refused, and grows only when asked", async () => {
  aws.answer(DESCRIBE, described("ACTIVE", 2));
  await expect(topics().ensureTopic("events", { partitions: 3 })).rejects.toMatchObject({
    kind: "conflict",
    code: "kafka.topic_has_fewer_partitions",
    message: expect.stringContaining("2 partitions, 3 are wanted"),
  });
  aws.answer(
    DESCRIBE,
    described("ACTIVE", 2),
    described("ACTIVE", 2),
    described("ACTIVE", 2),
    described("UPDATING", 3),
    described("ACTIVE", 3),
  );
  aws.answer(UPDATE, { body: { status: "UPDATING" } });
  await topics().ensureTopic("events", { partitions: 3, grow: true });
  expect(bodyOf("PUT")).toEqual([{ partitionCount: 3 }]);
});

test("a topic that somebody else makes at the same moment is judged like one that was there", async () => {
  aws.answer(DESCRIBE, MISSING, MISSING, described("ACTIVE", 1));
  aws.answer(CREATE, refusal("TopicExistsException", 409));
  await expect(topics().ensureTopic("events", { partitions: 2 })).rejects.toMatchObject({
    code: "kafka.topic_has_fewer_partitions",
  });
});

test("what passes is tried again: throttling, a controller that moves, a change under way", async () => {
  aws.answer(
    DESCRIBE,
    refusal("InternalServerErrorException", 500),
    MISSING,
    MISSING,
    MISSING,
    described("ACTIVE", 1),
  );
  aws.answer(CREATE, refusal("ControllerMovedException", 409), refusal("ConflictException", 409), {
    body: { status: "CREATING" },
  });
  await topics().ensureTopic("events", { partitions: 1 });
  expect(bodyOf("POST")).toHaveLength(3);
});

test.each([
  ["ForbiddenException", 403, "unavailable", "kafka.unauthorized", "kafka-cluster:CreateTopic"],
  ["ExpiredTokenException", 403, "unavailable", "kafka.unauthenticated", "AWS credentials"],
  ["NotFoundException", 404, "invalid", "kafka.cluster_unknown", "clusterArn"],
  ["BadRequestException", 400, "invalid", "kafka.request_refused", "as recorded"],
])("%s ends it with what to do", async (error, status, kind, code, text) => {
  aws.answer(DESCRIBE, MISSING);
  aws.answer(CREATE, refusal(error, status));
  await expect(topics().ensureTopic("events", { partitions: 1 })).rejects.toMatchObject({
    kind,
    code,
    message: expect.stringContaining(text),
  });
});

test("a topic that does not become active is given up in time", async () => {
  aws.answer(DESCRIBE, described("CREATING", 1));
  const hasty = createMskTopics(clusterArn(), { timeoutMs: 100, pauseMs: 5 });
  await expect(hasty.ensureTopic("events", { partitions: 1 })).rejects.toMatchObject({
    kind: "unavailable",
    code: "kafka.unavailable",
    message: expect.stringContaining("ACTIVE"),
  });
});

test("what is no cluster's ARN is refused by name", () => {
  expect(() => createMskTopics("shop")).toThrow(
    expect.objectContaining({ kind: "invalid", code: "kafka.cluster" }),
  );
});
