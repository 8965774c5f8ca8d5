/**
 * What surrounds deployed functions, on this machine: a database whose owner is no superuser, topics'
 * names, an issuer of tokens, and the environment, links and events that the cloud hands over.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createPool, type Pool, ROLES } from "@headrace/db";
import { SCOPES } from "@headrace/handler";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { FunctionEntry } from "../../functions/manifest.ts";
import { kafkaEvent, uniqueTopic } from "./kafka.ts";
import type { LambdaOptions } from "./lambda.ts";

export interface CloudStage {
  readonly topic: string;
  /** The owner's. */
  readonly pool: Pool;
  optionsFor(entry: FunctionEntry): LambdaOptions;
  /** What the cloud starts the function with; of an HTTP function, a request to its first route. */
  eventFor(entry: FunctionEntry): unknown;
  /** A request of API Gateway's HTTP API, with a token for everything. */
  request(method: string, target: string, body?: unknown): unknown;
  stop(): Promise<void>;
}

const AUDIENCE = "headrace";

/** `serverUrl`: a superuser's, of a server that nobody else's roles are on. */
export async function startCloudStage(
  serverUrl: string,
  brokers: readonly string[],
): Promise<CloudStage> {
  const urlOf = (user: string, password: string): string =>
    Object.assign(new URL(serverUrl), { username: user, password, pathname: "/shop" }).href;
  const passwords = new Map(
    ["master", ...ROLES].map((role) => [role, randomBytes(20).toString("hex")]),
  );
  const linkOf = (role: string, through: string) => ({
    url: urlOf(role, passwords.get(role) ?? ""),
    through,
  });
  const server = createPool({ connectionString: serverUrl, max: 1 });
  await server.query(
    `create role master login createrole createdb password '${passwords.get("master")}'`,
  );
  await server.query("create database shop owner master");
  await server.end();
  const pool = createPool({ connectionString: linkOf("master", "server").url, max: 2 });
  pool.on("error", () => {});
  const topic = uniqueTopic();
  const issuer = await startIssuer();
  const stage: CloudStage = {
    topic,
    pool,
    optionsFor: ({ trigger, pools, kafka }) => {
      const purposes = { worker: "Worker", orders: "Orders", reports: "Reports" } as const;
      const isHttp = trigger.kind === "http";
      const direct = (purpose: keyof typeof purposes) =>
        [`Database${purposes[purpose]}`, linkOf(`headrace_${purpose}`, "server")] as const;
      const pooled = (purpose: keyof typeof purposes) =>
        [`Database${purposes[purpose]}Pooled`, linkOf(`headrace_${purpose}`, "proxy")] as const;
      const owner = ["DatabaseOwner", linkOf("master", "server")] as const;
      const databases =
        trigger.kind === "deploy"
          ? [owner, direct("worker"), direct("orders"), direct("reports")]
          : pools.map((name) => (name === "owner" ? owner : isHttp ? pooled(name) : direct(name)));
      const kafkaLink = ["Kafka", { kind: "plain", brokers: brokers.join(",") }] as const;
      return {
        links: Object.fromEntries([...databases, ...(kafka.length > 0 ? [kafkaLink] : [])]),
        environment: {
          HEADRACE_STAGE: "test",
          HEADRACE_SIZE: "standard",
          LOG_LEVEL: "info",
          EVENTS_TOPIC: topic,
          EVENT_HORIZON_DAYS: "3650",
          ...(isHttp
            ? { AUTH_ISSUER: issuer.url, AUTH_AUDIENCE: AUDIENCE, AUTH_JWKS_URL: issuer.keysUrl }
            : {}),
          ...(trigger.kind === "deploy"
            ? { TOPICS: topicsOf(topic), RAW_RETENTION_DAYS: "400" }
            : {}),
        },
      };
    },
    eventFor({ trigger }) {
      switch (trigger.kind) {
        case "deploy":
          return { release: "0123456789abcdef" };
        case "kafka":
          return kafkaEvent(
            topic,
            { 0: [anEvent()], 1: [anEvent(), "not json"] },
            { timestampMillis: Date.now() },
          );
        case "cron":
          return schedulerEvent;
        case "http": {
          const [{ method, path } = { method: "GET", path: "/" }] = trigger.routes;
          const body = bodyOf[`${method} ${path}`]?.();
          return stage.request(method, path.replace("{id}", "u1"), body);
        }
      }
    },
    request: (method, target, body) => httpEvent(method, target, issuer.token, body),
    async stop() {
      await pool.end();
      await issuer.stop();
    },
  };
  return stage;
}

const MINUTE = 60_000;
/** An hour ago: within every retention, and all of it over. */
const begin = Math.floor(Date.now() / MINUTE - 60) * MINUTE;
const instant = (millis: number): string => new Date(millis).toISOString();

/** The minute of the windows report that holds all of `anEvent`. */
export const windowsOfEvents = `/v1/reports/windows?size=10s&event_type=purchase&from=${instant(begin)}&to=${instant(begin + MINUTE)}`;

/** An audit of every hour that the events may lie in. */
export const auditOfEvents = `/v1/audit?from=${instant(begin)}&to=${instant(begin + MINUTE)}`;

/** Of functions' first routes, those that want one. */
const bodyOf: Readonly<Record<string, () => unknown>> = {
  "POST /v1/events": () => [anEvent()],
  "PUT /v1/users/{id}": () => aUser,
};

const topicsOf = (topic: string): string =>
  JSON.stringify([
    { name: topic, partitions: 2, configs: { "message.timestamp.type": "LogAppendTime" } },
    { name: `${topic}.failed`, partitions: 1, configs: {} },
  ]);

export const anEvent = () => ({
  event_id: crypto.randomUUID(),
  event_time: instant(begin + 7_000),
  event_type: "purchase",
  user_id: "u1",
  value: 2,
  amount: "12.50",
});

export const aUser = { name: "Ada", segment: "gold" };

/** As EventBridge Scheduler sends where a schedule names no input. */
const schedulerEvent = {
  version: "0",
  id: "89d1a02d-5ec7-412e-82f5-13505f849b41",
  "detail-type": "Scheduled Event",
  source: "aws.scheduler",
  account: "123456789012",
  time: "2026-01-01T00:00:00Z",
  region: "eu-central-1",
  resources: ["arn:aws:scheduler:eu-central-1:123456789012:schedule/default/headrace"],
  detail: "{}",
};

function httpEvent(method: string, target: string, token: string, body: unknown): unknown {
  const [path = "", query = ""] = target.split("?", 2);
  return {
    version: "2.0",
    routeKey: `${method} ${path}`,
    rawPath: path,
    rawQueryString: query,
    headers: {
      accept: "*/*",
      authorization: `Bearer ${token}`,
      host: "abc123.execute-api.eu-central-1.amazonaws.com",
      "user-agent": "curl/8.5.0",
      "x-amzn-trace-id": "Root=1-65920080-0123456789abcdef01234567",
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-port": "443",
      "x-forwarded-proto": "https",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    requestContext: {
      accountId: "123456789012",
      apiId: "abc123",
      domainName: "abc123.execute-api.eu-central-1.amazonaws.com",
      domainPrefix: "abc123",
      http: { method, path, protocol: "HTTP/1.1", sourceIp: "192.0.2.1", userAgent: "curl/8.5.0" },
      requestId: "JKJaXmPLvHcESHA=",
      routeKey: `${method} ${path}`,
      stage: "$default",
      time: "01/Jan/2026:00:00:00 +0000",
      timeEpoch: 1_767_225_600_000,
    },
    isBase64Encoded: false,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
}

/** Publishes its keys on this machine; `token` has every scope. */
async function startIssuer() {
  const { publicKey, privateKey } = await generateKeyPair("RS256", { extractable: true });
  const keys = JSON.stringify({
    keys: [{ ...(await exportJWK(publicKey)), kid: "1", alg: "RS256" }],
  });
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end(keys);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const token = await new SignJWT({ scope: SCOPES.join(" ") })
    .setProtectedHeader({ alg: "RS256", kid: "1" })
    .setIssuer(url)
    .setAudience(AUDIENCE)
    .setSubject("somebody")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey);
  return {
    url,
    keysUrl: `${url}/jwks.json`,
    token,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
