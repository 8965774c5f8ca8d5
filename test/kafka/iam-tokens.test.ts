import { type AddressInfo, createServer, type Socket } from "node:net";
import { createAdmin, type KafkaConfig } from "@headrace/kafka";
import { expect, onTestFinished, test, vi } from "vitest";
import { clusterArn } from "./aws-answers.ts";

const MINUTE_MS = 60_000;

/** A broker that hears how clients sign in, and hangs up. */
async function listener(): Promise<{ readonly address: string; readonly tokens: string[] }> {
  const tokens: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (request) => {
      const answer = ANSWERS.get(request.readInt16BE(4));
      const token = /auth=Bearer ([\w-]+)/.exec(request.toString("latin1"))?.[1];
      if (token !== undefined) tokens.push(token);
      if (answer === undefined) socket.destroy();
      else socket.write(framed(request.readInt32BE(8), answer));
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, tokens };
}

const API_VERSIONS = 18;
const SASL_HANDSHAKE = 17;
const MECHANISM = Buffer.from("OAUTHBEARER");
const ANSWERS = new Map([
  // No error; one API, 36 from version 0 to 2; no throttling.
  [API_VERSIONS, Buffer.from([0, 0, 0, 0, 0, 1, 0, 36, 0, 0, 0, 2, 0, 0, 0, 0])],
  [
    SASL_HANDSHAKE,
    Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 1, 0, MECHANISM.length]), MECHANISM]),
  ],
]);

function framed(correlationId: number, answer: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(answer.length + 4, 0);
  head.writeInt32BE(correlationId, 4);
  return Buffer.concat([head, answer]);
}

type Where = Pick<KafkaConfig, "region" | "clusterArn">;

/** Signs in with a role at a broker of that place, and returns the token that it was shown. */
async function signer(where: Where): Promise<() => Promise<string>> {
  const { address, tokens } = await listener();
  return async () => {
    const before = tokens.length;
    const admin = createAdmin(
      { brokers: [address], ...where, auth: { kind: "iam" }, tls: false },
      { timeoutMs: 5_000 },
    );
    const asked = admin.offsets(["events"]).catch(() => undefined);
    await expect.poll(() => tokens.length, { timeout: 10_000 }).toBeGreaterThan(before);
    await admin.close();
    await asked;
    return tokens.at(-1) ?? "";
  };
}

const urlOf = (token: string) => new URL(Buffer.from(token, "base64url").toString());

test("a role's token is a signed request to connect, for its region, for 15 minutes, and kept for half of them", async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDTHATISNONE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "a-secret-that-stays-one");
  vi.stubEnv("AWS_SESSION_TOKEN", "of-a-role");
  onTestFinished(() => void vi.unstubAllEnvs());
  const signIn = await signer({ region: "eu-north-1" });
  const first = await signIn();
  const url = urlOf(first);
  expect(url.host).toBe("kafka.eu-north-1.amazonaws.com");
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    Action: "kafka-cluster:Connect",
    "X-Amz-Expires": "900",
    "X-Amz-Credential": expect.stringMatching(
      /^AKIDTHATISNONE\/\d{8}\/eu-north-1\/kafka-cluster\//,
    ),
    "X-Amz-Security-Token": "of-a-role",
    "X-Amz-Signature": expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(await signIn()).toBe(first);
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 7 * MINUTE_MS });
  onTestFinished(() => void vi.useRealTimers());
  expect(await signIn()).toBe(first);
  vi.setSystemTime(Date.now() + MINUTE_MS);
  expect(await signIn()).not.toBe(first);
});

test.each<[string, Where, string]>([
  ["the cluster's ARN", { clusterArn: clusterArn() }, "eu-central-1"],
  ["its own setting first", { clusterArn: clusterArn(), region: "eu-west-1" }, "eu-west-1"],
])("the region of a role's token is that of %s", async (_what, where, region) => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDTHATISNONE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "a-secret-that-stays-one");
  onTestFinished(() => void vi.unstubAllEnvs());
  const signIn = await signer(where);
  expect(urlOf(await signIn()).host).toBe(`kafka.${region}.amazonaws.com`);
});
